package api

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// rotateSandboxTokens revokes a sandbox's tokens and answers with the new ones.
func (s *Server) rotateSandboxTokens(w http.ResponseWriter, r *http.Request) error {
	if err := decode(r, &struct{}{}); err != nil {
		return err
	}
	sandbox, err := s.Sandboxes.RotateTokens(r.Context(), teamOf(r), sandboxOf(r))
	if err != nil {
		return err
	}
	return s.answerSandbox(w, r, http.StatusOK, sandbox)
}

func (s *Server) rotateTeamTokens(w http.ResponseWriter, r *http.Request) error {
	if err := decode(r, &struct{}{}); err != nil {
		return err
	}
	return noContent(w, s.Identity.RotateTeamTokens(r.Context(), auth.PrincipalOf(r.Context()).TeamID))
}
