package api

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
)

func (s *Server) routeKeys(router chi.Router) {
	router.Get("/api-keys", s.handle(s.listKeys))
	router.Post("/api-keys", s.handle(s.createKey))
	router.Patch("/api-keys/{apiKeyID}", s.handle(s.renameKey))
	router.Delete("/api-keys/{apiKeyID}", s.handle(s.revokeKey))
	router.Post("/admin/teams/{teamID}/api-keys", s.handle(s.adminCreateKey))
	router.Delete("/admin/teams/{teamID}/api-keys/{apiKeyID}", s.handle(s.adminRevokeKey))
	router.Get("/access-tokens", s.handle(s.listAccessTokens))
	router.Post("/access-tokens", s.handle(s.createAccessToken))
	router.Delete("/access-tokens/{accessTokenID}", s.handle(s.revokeAccessToken))
}

// maskAnswer is what may be shown of a secret.
type maskAnswer struct {
	Prefix            string `json:"prefix"`
	ValueLength       int32  `json:"valueLength"`
	MaskedValuePrefix string `json:"maskedValuePrefix"`
	MaskedValueSuffix string `json:"maskedValueSuffix"`
}

type creatorAnswer struct {
	ID    uuid.UUID `json:"id"`
	Email *string   `json:"email"`
}

// keyAnswer is an API key. Key is there only in the answer that made it.
type keyAnswer struct {
	ID        uuid.UUID      `json:"id"`
	Key       string         `json:"key,omitempty"`
	Name      string         `json:"name"`
	Mask      maskAnswer     `json:"mask"`
	CreatedAt time.Time      `json:"createdAt"`
	CreatedBy *creatorAnswer `json:"createdBy,omitempty"`
	LastUsed  *time.Time     `json:"lastUsed"`
	Scopes    []string       `json:"scopes,omitempty"`
	ExpiresAt *time.Time     `json:"expiresAt,omitempty"`
}

func keyOf(key rows.APIKey, creator *string) keyAnswer {
	answer := keyAnswer{
		ID: key.ID, Name: key.Name, Mask: maskAnswer{key.KeyPrefix, key.ValueLength, key.MaskedPrefix, key.MaskedSuffix},
		CreatedAt: key.CreatedAt.UTC(), LastUsed: key.LastUsedAt, Scopes: key.Scopes, ExpiresAt: key.ExpiresAt,
	}
	if key.CreatedBy != nil {
		answer.CreatedBy = &creatorAnswer{*key.CreatedBy, creator}
	}
	return answer
}

func (s *Server) listKeys(w http.ResponseWriter, r *http.Request) error {
	keys, err := s.Identity.Keys(r.Context(), teamOf(r))
	if err != nil {
		return err
	}
	answer := []keyAnswer{}
	for _, key := range keys {
		answer = append(answer, keyOf(key.APIKey, key.CreatorEmail))
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) createKey(w http.ResponseWriter, r *http.Request) error {
	return s.issueKey(w, r, teamOf(r))
}

func (s *Server) adminCreateKey(w http.ResponseWriter, r *http.Request) error {
	teamID, err := idOf(r, "teamID", "team")
	if err != nil {
		return err
	}
	return s.issueKey(w, r, teamID)
}

func (s *Server) issueKey(w http.ResponseWriter, r *http.Request, teamID uuid.UUID) error {
	var body struct {
		Name      string     `json:"name"`
		Scopes    []string   `json:"scopes"`
		ExpiresAt *time.Time `json:"expiresAt"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	principal := auth.PrincipalOf(r.Context())
	wanted := identity.NewKey{Name: body.Name, Scopes: body.Scopes, ExpiresAt: body.ExpiresAt}
	secret, key, err := s.Identity.IssueKey(r.Context(), principal, teamID, wanted)
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), key.ID.String())
	answer := keyOf(key, optionalText(principal.Email))
	answer.Key = secret
	writeJSON(w, http.StatusCreated, answer)
	return nil
}

func (s *Server) renameKey(w http.ResponseWriter, r *http.Request) error {
	var body nameBody
	if err := decode(r, &body); err != nil {
		return err
	}
	keyID, err := idOf(r, "apiKeyID", "API key")
	if err != nil {
		return err
	}
	if err := s.Identity.RenameKey(r.Context(), auth.PrincipalOf(r.Context()), teamOf(r), keyID, body.Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) revokeKey(w http.ResponseWriter, r *http.Request) error {
	keyID, err := idOf(r, "apiKeyID", "API key")
	if err != nil {
		return err
	}
	return noContent(w, s.Identity.RevokeKey(r.Context(), auth.PrincipalOf(r.Context()), teamOf(r), keyID))
}

func (s *Server) adminRevokeKey(w http.ResponseWriter, r *http.Request) error {
	teamID, err := idOf(r, "teamID", "team")
	if err != nil {
		return err
	}
	keyID, err := idOf(r, "apiKeyID", "API key")
	if err != nil {
		return err
	}
	return noContent(w, s.Identity.RevokeKey(r.Context(), auth.PrincipalOf(r.Context()), teamID, keyID))
}

// optionalText is nil for no text.
func optionalText(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
