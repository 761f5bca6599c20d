package api

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// Usage is the service behind the routes of what teams use and may use.
type Usage interface {
	Between(ctx context.Context, teamID uuid.UUID, since, until time.Time) (usage.Used, error)
	Has(ctx context.Context, teamID uuid.UUID) (rows.TeamUse, error)
	Limits(ctx context.Context, teamID uuid.UUID) (rows.TeamLimit, error)
	SetLimits(ctx context.Context, limits rows.TeamLimit) error
}

func (s *Server) routeUsage(router chi.Router) {
	router.Get("/teams/{teamID}/usage", s.handle(s.getUsage))
	router.Get("/teams/{teamID}/limits", s.handle(s.getLimits))
	router.Put("/admin/teams/{teamID}/limits", s.handle(s.setLimits))
}

// getUsage sums up a time, which is the current month where none is named.
func (s *Server) getUsage(w http.ResponseWriter, r *http.Request) error {
	teamID, err := ownTeam(r)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	since, err := momentQuery(r, "start", time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return err
	}
	until, err := momentQuery(r, "end", now)
	if err != nil {
		return err
	}
	used, err := s.Usage.Between(r.Context(), teamID, since, until)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Start            time.Time `json:"start"`
		End              time.Time `json:"end"`
		SandboxCount     int64     `json:"sandboxCount"`
		VCPUSeconds      float64   `json:"vcpuSeconds"`
		MemoryGiBSeconds float64   `json:"memoryGiBSeconds"`
	}{used.Since.UTC(), used.Until.UTC(), used.Sandboxes, used.VCPUSeconds, used.GiBSeconds})
	return nil
}

func momentQuery(r *http.Request, name string, byDefault time.Time) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return byDefault, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fault.New(fault.Invalid, "%s must be a time such as 2006-01-02T15:04:05Z", name)
	}
	return at, nil
}

// limits is what a team may have; null is without limit.
type limits struct {
	MaxSandboxes        *int32 `json:"maxSandboxes"`
	MaxVCPUs            *int64 `json:"maxVcpus"`
	MaxMemoryMiB        *int64 `json:"maxMemoryMiB"`
	MaxDiskMiB          *int64 `json:"maxDiskMiB"`
	MaxBuilds           *int32 `json:"maxBuilds"`
	MaxCreatesPerMinute *int32 `json:"maxCreatesPerMinute"`
	MaxVolumes          *int32 `json:"maxVolumes"`
	MaxVolumeMiB        *int64 `json:"maxVolumeMiB"`
	MaxSecrets          *int32 `json:"maxSecrets"`
}

// inUse is what a team has.
type inUse struct {
	Sandboxes int32 `json:"sandboxes"`
	VCPUs     int64 `json:"vcpus"`
	MemoryMiB int64 `json:"memoryMiB"`
	DiskMiB   int64 `json:"diskMiB"`
}

func (s *Server) getLimits(w http.ResponseWriter, r *http.Request) error {
	teamID, err := ownTeam(r)
	if err != nil {
		return err
	}
	may, err := s.Usage.Limits(r.Context(), teamID)
	if err != nil {
		return err
	}
	has, err := s.Usage.Has(r.Context(), teamID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Limits limits `json:"limits"`
		InUse  inUse  `json:"inUse"`
	}{
		limits{
			may.MaxSandboxes, may.MaxVCPUCount, may.MaxMemoryMiB, may.MaxDiskMiB, may.MaxBuilds, may.MaxCreatesPerMinute,
			may.MaxVolumes, may.MaxVolumeMiB, may.MaxSecrets,
		},
		inUse{has.SandboxCount, has.VCPUCount, has.MemoryMiB, has.DiskMiB},
	})
	return nil
}

// setLimits replaces all limits: one that is not named is lifted.
func (s *Server) setLimits(w http.ResponseWriter, r *http.Request) error {
	var body limits
	if err := decode(r, &body); err != nil {
		return err
	}
	teamID, err := uuid.Parse(chi.URLParam(r, "teamID"))
	if err != nil {
		return fault.New(fault.Invalid, "teamID is not a UUID")
	}
	return noContent(w, s.Usage.SetLimits(r.Context(), rows.TeamLimit{
		TeamID: teamID, MaxSandboxes: body.MaxSandboxes, MaxVCPUCount: body.MaxVCPUs, MaxMemoryMiB: body.MaxMemoryMiB,
		MaxDiskMiB: body.MaxDiskMiB, MaxBuilds: body.MaxBuilds, MaxCreatesPerMinute: body.MaxCreatesPerMinute,
		MaxVolumes: body.MaxVolumes, MaxVolumeMiB: body.MaxVolumeMiB, MaxSecrets: body.MaxSecrets,
	}))
}
