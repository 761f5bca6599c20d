package account

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

// accessTokenAnswer is an access token. Token is set only in the answer to the request
// that made it.
type accessTokenAnswer struct {
	ID        uuid.UUID  `json:"id"`
	Name      string     `json:"name"`
	Token     string     `json:"token,omitempty"`
	Mask      maskAnswer `json:"mask"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	LastUsed  *time.Time `json:"lastUsed,omitempty"`
}

func accessTokenOf(token keys.AccessToken) accessTokenAnswer {
	return accessTokenAnswer{
		ID: token.ID, Name: token.Name, CreatedAt: token.CreatedAt, ExpiresAt: token.ExpiresAt, LastUsed: token.LastUsedAt,
		Mask: maskAnswer(token.Mask),
	}
}

func (h *Handlers) listAccessTokens(w http.ResponseWriter, r *http.Request) error {
	tokens, err := h.Keys.Tokens(r.Context(), auth.PrincipalOf(r.Context()).UserID)
	if err != nil {
		return err
	}
	answer := []accessTokenAnswer{}
	for _, token := range tokens {
		answer = append(answer, accessTokenOf(token))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) createAccessToken(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name      string     `json:"name"`
		ExpiresAt *time.Time `json:"expiresAt"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	wanted := keys.NewAccessToken{Name: body.Name, ExpiresAt: body.ExpiresAt}
	secret, token, err := h.Keys.IssueToken(r.Context(), auth.PrincipalOf(r.Context()), wanted)
	if err != nil {
		return err
	}
	answer := accessTokenOf(token)
	answer.Token = secret
	respond.JSON(w, http.StatusCreated, answer)
	return nil
}

func (h *Handlers) revokeAccessToken(w http.ResponseWriter, r *http.Request) error {
	tokenID, err := request.ID(r, "accessTokenID", "access token")
	if err != nil {
		return err
	}
	return respond.NoContent(w, h.Keys.RevokeToken(r.Context(), auth.PrincipalOf(r.Context()).UserID, tokenID))
}
