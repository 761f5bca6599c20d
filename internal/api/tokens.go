package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// accessTokenAnswer is an access token. Token is there only in the answer that
// made it.
type accessTokenAnswer struct {
	ID        uuid.UUID  `json:"id"`
	Name      string     `json:"name"`
	Token     string     `json:"token,omitempty"`
	Mask      maskAnswer `json:"mask"`
	CreatedAt time.Time  `json:"createdAt"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	LastUsed  *time.Time `json:"lastUsed,omitempty"`
}

func accessTokenOf(token rows.AccessToken) accessTokenAnswer {
	return accessTokenAnswer{
		ID: token.ID, Name: token.Name, CreatedAt: token.CreatedAt.UTC(), ExpiresAt: token.ExpiresAt, LastUsed: token.LastUsedAt,
		Mask: maskAnswer{token.TokenPrefix, token.ValueLength, token.MaskedPrefix, token.MaskedSuffix},
	}
}

func (s *Server) listAccessTokens(w http.ResponseWriter, r *http.Request) error {
	tokens, err := s.Identity.AccessTokens(r.Context(), auth.PrincipalOf(r.Context()).UserID)
	if err != nil {
		return err
	}
	answer := []accessTokenAnswer{}
	for _, token := range tokens {
		answer = append(answer, accessTokenOf(token))
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) createAccessToken(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name      string     `json:"name"`
		ExpiresAt *time.Time `json:"expiresAt"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	secret, token, err := s.Identity.IssueAccessToken(r.Context(), auth.PrincipalOf(r.Context()), body.Name, body.ExpiresAt)
	if err != nil {
		return err
	}
	answer := accessTokenOf(token)
	answer.Token = secret
	writeJSON(w, http.StatusCreated, answer)
	return nil
}

func (s *Server) revokeAccessToken(w http.ResponseWriter, r *http.Request) error {
	tokenID, err := idOf(r, "accessTokenID", "access token")
	if err != nil {
		return err
	}
	return noContent(w, s.Identity.RevokeAccessToken(r.Context(), auth.PrincipalOf(r.Context()).UserID, tokenID))
}
