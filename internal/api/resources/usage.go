package resources

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// Usage is the service of the usage and limits of teams.
type Usage interface {
	Between(ctx context.Context, teamID uuid.UUID, since, until time.Time) (usage.Used, error)
	Has(ctx context.Context, teamID uuid.UUID) (usage.Has, error)
	Limits(ctx context.Context, teamID uuid.UUID) (usage.Limits, error)
	SetLimits(ctx context.Context, teamID uuid.UUID, limits usage.Limits) error
}

func (h *Handlers) routeUsage(router respond.Router) {
	router.Get("/teams/{teamID}/usage", h.getUsage)
	router.Get("/teams/{teamID}/limits", h.getLimits)
	router.Put("/admin/teams/{teamID}/limits", h.setLimits)
}

// getUsage answers with the usage of a time span, by default the current month.
func (h *Handlers) getUsage(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.OwnTeam(r)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	since, err := request.Moment(r, "start", time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return err
	}
	until, err := request.Moment(r, "end", now)
	if err != nil {
		return err
	}
	used, err := h.Usage.Between(r.Context(), teamID, since, until)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		Start                 time.Time `json:"start"`
		End                   time.Time `json:"end"`
		SandboxCount          int64     `json:"sandboxCount"`
		VCPUSeconds           float64   `json:"vcpuSeconds"`
		MemoryGiBSeconds      float64   `json:"memoryGiBSeconds"`
		BuildCount            int64     `json:"buildCount"`
		BuildVCPUSeconds      float64   `json:"buildVcpuSeconds"`
		BuildMemoryGiBSeconds float64   `json:"buildMemoryGiBSeconds"`
	}{
		used.Since.UTC(), used.Until.UTC(), used.Sandboxes, used.VCPUSeconds, used.GiBSeconds,
		used.Builds, used.BuildVCPUSeconds, used.BuildGiBSeconds,
	})
	return nil
}

// limits are the limits of a team; null is unlimited.
type limits struct {
	MaxSandboxes        *int64 `json:"maxSandboxes"`
	MaxVCPUs            *int64 `json:"maxVcpus"`
	MaxMemoryMiB        *int64 `json:"maxMemoryMiB"`
	MaxDiskMiB          *int64 `json:"maxDiskMiB"`
	MaxSandboxVCPUs     *int64 `json:"maxSandboxVcpus"`
	MaxSandboxMemoryMiB *int64 `json:"maxSandboxMemoryMiB"`
	MaxSandboxDiskMiB   *int64 `json:"maxSandboxDiskMiB"`
	MaxBuilds           *int64 `json:"maxBuilds"`
	MaxCreatesPerMinute *int64 `json:"maxCreatesPerMinute"`
	MaxVolumes          *int64 `json:"maxVolumes"`
	MaxVolumeMiB        *int64 `json:"maxVolumeMiB"`
	MaxSecrets          *int64 `json:"maxSecrets"`
	MaxSnapshots        *int64 `json:"maxSnapshots"`
}

// inUse is the current usage of a team.
type inUse struct {
	Sandboxes int64 `json:"sandboxes"`
	VCPUs     int64 `json:"vcpus"`
	MemoryMiB int64 `json:"memoryMiB"`
	DiskMiB   int64 `json:"diskMiB"`
}

func (h *Handlers) getLimits(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.OwnTeam(r)
	if err != nil {
		return err
	}
	may, err := h.Usage.Limits(r.Context(), teamID)
	if err != nil {
		return err
	}
	has, err := h.Usage.Has(r.Context(), teamID)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		Limits limits `json:"limits"`
		InUse  inUse  `json:"inUse"`
	}{
		limits{
			may.MaxSandboxes, may.MaxVCPUs, may.MaxMemoryMiB, may.MaxDiskMiB,
			may.MaxSandboxVCPUs, may.MaxSandboxMemoryMiB, may.MaxSandboxDiskMiB, may.MaxBuilds, may.MaxCreatesPerMinute,
			may.MaxVolumes, may.MaxVolumeMiB, may.MaxSecrets, may.MaxSnapshots,
		},
		inUse(has),
	})
	return nil
}

// setLimits replaces all limits. A limit that the body does not have becomes unlimited.
func (h *Handlers) setLimits(w http.ResponseWriter, r *http.Request) error {
	var body limits
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	teamID, err := uuid.Parse(chi.URLParam(r, "teamID"))
	if err != nil {
		return fault.New(fault.Invalid, "teamID is not a UUID")
	}
	return respond.NoContent(w, h.Usage.SetLimits(r.Context(), teamID, usage.Limits{
		MaxSandboxes: body.MaxSandboxes, MaxVCPUs: body.MaxVCPUs, MaxMemoryMiB: body.MaxMemoryMiB,
		MaxDiskMiB: body.MaxDiskMiB, MaxSandboxVCPUs: body.MaxSandboxVCPUs, MaxSandboxMemoryMiB: body.MaxSandboxMemoryMiB,
		MaxSandboxDiskMiB: body.MaxSandboxDiskMiB, MaxBuilds: body.MaxBuilds, MaxCreatesPerMinute: body.MaxCreatesPerMinute,
		MaxVolumes: body.MaxVolumes, MaxVolumeMiB: body.MaxVolumeMiB, MaxSecrets: body.MaxSecrets, MaxSnapshots: body.MaxSnapshots,
	}))
}
