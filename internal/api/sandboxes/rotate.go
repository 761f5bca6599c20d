package sandboxes

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
)

// rotateSandboxTokens revokes a sandbox's tokens and answers with new ones.
func (h *Handlers) rotateSandboxTokens(w http.ResponseWriter, r *http.Request) error {
	if err := request.Decode(r, &struct{}{}); err != nil {
		return err
	}
	sandbox, err := h.Sandboxes.RotateTokens(r.Context(), request.Team(r), sandboxOf(r))
	if err != nil {
		return err
	}
	return h.answerSandbox(w, r, http.StatusOK, sandbox)
}
