package account

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

func (h *Handlers) routeKeys(router respond.Router) {
	router.Get("/api-keys", h.listKeys)
	router.Post("/api-keys", h.createKey)
	router.Patch("/api-keys/{apiKeyID}", h.renameKey)
	router.Delete("/api-keys/{apiKeyID}", h.revokeKey)
	router.Post("/admin/teams/{teamID}/api-keys", h.adminCreateKey)
	router.Delete("/admin/teams/{teamID}/api-keys/{apiKeyID}", h.adminRevokeKey)
	router.Get("/access-tokens", h.listAccessTokens)
	router.Post("/access-tokens", h.createAccessToken)
	router.Delete("/access-tokens/{accessTokenID}", h.revokeAccessToken)
}

// maskAnswer is the part of a secret that may be shown.
type maskAnswer struct {
	Prefix      string `json:"prefix"`
	ValueLength int    `json:"valueLength"`
	MaskedStart string `json:"maskedValuePrefix"`
	MaskedEnd   string `json:"maskedValueSuffix"`
}

type creatorAnswer struct {
	ID    uuid.UUID `json:"id"`
	Email *string   `json:"email"`
}

// keyAnswer is an API key. Key is set only in the answer to the request that made it.
type keyAnswer struct {
	ID        uuid.UUID         `json:"id"`
	Key       string            `json:"key,omitempty"`
	Name      string            `json:"name"`
	Mask      maskAnswer        `json:"mask"`
	CreatedAt time.Time         `json:"createdAt"`
	CreatedBy *creatorAnswer    `json:"createdBy,omitempty"`
	LastUsed  *time.Time        `json:"lastUsed"`
	Scopes    []auth.Permission `json:"scopes,omitempty"`
	ExpiresAt *time.Time        `json:"expiresAt,omitempty"`
}

func keyOf(key keys.APIKey) keyAnswer {
	answer := keyAnswer{
		ID: key.ID, Name: key.Name, Mask: maskAnswer(key.Mask),
		CreatedAt: key.CreatedAt, LastUsed: key.LastUsedAt, Scopes: key.Scopes, ExpiresAt: key.ExpiresAt,
	}
	if key.MakerID != uuid.Nil {
		answer.CreatedBy = &creatorAnswer{key.MakerID, optionalText(key.MakerEmail)}
	}
	return answer
}

func (h *Handlers) listKeys(w http.ResponseWriter, r *http.Request) error {
	listed, err := h.Keys.Keys(r.Context(), request.Team(r))
	if err != nil {
		return err
	}
	answer := []keyAnswer{}
	for _, key := range listed {
		answer = append(answer, keyOf(key))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) createKey(w http.ResponseWriter, r *http.Request) error {
	return h.issueKey(w, r, request.Team(r))
}

func (h *Handlers) adminCreateKey(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.ID(r, "teamID", "team")
	if err != nil {
		return err
	}
	return h.issueKey(w, r, teamID)
}

func (h *Handlers) issueKey(w http.ResponseWriter, r *http.Request, teamID uuid.UUID) error {
	var body struct {
		Name      string            `json:"name"`
		Scopes    []auth.Permission `json:"scopes"`
		ExpiresAt *time.Time        `json:"expiresAt"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	principal := auth.PrincipalOf(r.Context())
	wanted := keys.NewAPIKey{Name: body.Name, Scopes: body.Scopes, ExpiresAt: body.ExpiresAt}
	secret, key, err := h.Keys.IssueKey(r.Context(), principal, teamID, wanted)
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), key.ID.String())
	answer := keyOf(key)
	answer.Key = secret
	respond.JSON(w, http.StatusCreated, answer)
	return nil
}

func (h *Handlers) renameKey(w http.ResponseWriter, r *http.Request) error {
	var body nameBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	keyID, err := request.ID(r, "apiKeyID", "API key")
	if err != nil {
		return err
	}
	if err := h.Keys.RenameKey(r.Context(), auth.PrincipalOf(r.Context()), request.Team(r), keyID, body.Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handlers) revokeKey(w http.ResponseWriter, r *http.Request) error {
	keyID, err := request.ID(r, "apiKeyID", "API key")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Keys.RevokeKey(r.Context(), auth.PrincipalOf(r.Context()), request.Team(r), keyID))
}

func (h *Handlers) adminRevokeKey(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.ID(r, "teamID", "team")
	if err != nil {
		return err
	}
	keyID, err := request.ID(r, "apiKeyID", "API key")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Keys.RevokeKey(r.Context(), auth.PrincipalOf(r.Context()), teamID, keyID))
}

// optionalText returns nil for an empty text.
func optionalText(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
