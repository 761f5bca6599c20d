package api

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

func (s *Server) routeAdmin(router chi.Router) {
	router.Post("/admin/teams/{teamID}/sandboxes/kill", s.handle(s.killTeamSandboxes))
	router.Post("/admin/teams/{teamID}/builds/cancel", s.handle(s.cancelTeamBuilds))
	router.Get("/admin/keys", s.handle(s.listSecretKeys))
	router.Get("/admin/sandboxes/running-counts", s.handle(s.countRunning))
}

func (s *Server) killTeamSandboxes(w http.ResponseWriter, r *http.Request) error {
	teamID, err := teamWithoutBody(r)
	if err != nil {
		return err
	}
	killed, failed, err := s.Sandboxes.KillTeam(r.Context(), teamID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]int{"killedCount": killed, "failedCount": failed})
	return nil
}

func (s *Server) cancelTeamBuilds(w http.ResponseWriter, r *http.Request) error {
	teamID, err := teamWithoutBody(r)
	if err != nil {
		return err
	}
	cancelled, failed, err := s.Templates.CancelBuilds(r.Context(), teamID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]int{"cancelledCount": cancelled, "failedCount": failed})
	return nil
}

// teamWithoutBody reads the team in the path of a request that says nothing else.
func teamWithoutBody(r *http.Request) (uuid.UUID, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return uuid.Nil, err
	}
	teamID, err := uuid.Parse(chi.URLParam(r, "teamID"))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "teamID is not a UUID")
	}
	return teamID, nil
}

func (s *Server) countRunning(w http.ResponseWriter, r *http.Request) error {
	counts, err := s.Sandboxes.RunningCounts(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, counts)
	return nil
}
