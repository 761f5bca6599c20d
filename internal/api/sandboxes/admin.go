package sandboxes

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
)

func (h *Handlers) killTeamSandboxes(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.TeamWithoutBody(r)
	if err != nil {
		return err
	}
	killed, failed, err := h.Sandboxes.KillTeam(r.Context(), teamID)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, map[string]int{"killedCount": killed, "failedCount": failed})
	return nil
}

func (h *Handlers) countRunning(w http.ResponseWriter, r *http.Request) error {
	counts, err := h.Sandboxes.RunningCounts(r.Context())
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, counts)
	return nil
}
