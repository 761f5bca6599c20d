// Package sandboxes has the handlers of sandboxes, their snapshots, logs and metrics.
package sandboxes

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// Service is the service of sandboxes.
type Service interface {
	Create(ctx context.Context, teamID uuid.UUID, wanted sandboxes.NewSandbox) (sandbox.Sandbox, error)
	Get(ctx context.Context, teamID uuid.UUID, sandboxID string) (sandbox.Sandbox, error)
	List(ctx context.Context, teamID uuid.UUID, filter sandboxes.Filter) (sandboxes.Page, error)
	Kill(ctx context.Context, teamID uuid.UUID, sandboxID string) error
	Pause(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted sandbox.Pause) error
	Resume(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted sandboxes.ResumeRequest) (sandbox.Sandbox, error)
	Connect(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted sandboxes.ResumeRequest) (sandbox.Sandbox, bool, error)
	SetTimeout(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error
	Refresh(ctx context.Context, teamID uuid.UUID, sandboxID string, seconds int32) error
	UpdateNetwork(ctx context.Context, teamID uuid.UUID, sandboxID string, update sandbox.Network) error
	Fork(ctx context.Context, teamID uuid.UUID, sandboxID string, count, timeoutSeconds int32) ([]sandboxes.ForkResult, error)
	Snapshot(ctx context.Context, teamID uuid.UUID, sandboxID string, wanted templates.NewSnapshot) (templates.Snapshot, error)
	RotateTokens(ctx context.Context, teamID uuid.UUID, sandboxID string) (sandbox.Sandbox, error)
	KillTeam(ctx context.Context, teamID uuid.UUID) (killed, failed int, err error)
	RunningCounts(ctx context.Context) (map[uuid.UUID]int64, error)
	Metrics(ctx context.Context, teamID uuid.UUID, sandboxID string, span usage.Span) ([]sandbox.Sample, error)
	LatestMetrics(ctx context.Context, teamID uuid.UUID, sandboxIDs []string) ([]sandbox.Sample, error)
	Logs(ctx context.Context, teamID uuid.UUID, sandboxID string, filter sandboxes.LogFilter) ([]sandbox.LogLine, error)
	Credentials(ctx context.Context, of sandbox.Sandbox) (sandboxes.Credentials, error)
}

// Snapshots lists snapshots.
type Snapshots interface {
	ListSnapshots(ctx context.Context, teamID uuid.UUID, filter templates.SnapshotFilter) (templates.SnapshotPage, error)
}

// Handlers has what the handlers use.
type Handlers struct {
	Sandboxes   Service
	Snapshots   Snapshots
	TeamMetrics TeamMetrics
	// Domain is the suffix of the host names of sandboxes.
	Domain string
}

// Route registers the routes.
func (h *Handlers) Route(router respond.Router) {
	router.Post("/sandboxes", h.createSandboxV1)
	router.Post("/v2/sandboxes", h.createSandboxV2)
	router.Get("/sandboxes", h.listRunning)
	router.Get("/v2/sandboxes", h.listSandboxes)
	router.Get("/sandboxes/{sandboxID}", h.getSandbox)
	router.Delete("/sandboxes/{sandboxID}", h.killSandbox)
	router.Post("/sandboxes/{sandboxID}/pause", h.pauseSandbox)
	router.Post("/sandboxes/{sandboxID}/resume", h.resumeSandbox)
	router.Post("/sandboxes/{sandboxID}/connect", h.connectSandboxV1)
	router.Post("/v2/sandboxes/{sandboxID}/connect", h.connectSandboxV2)
	router.Post("/sandboxes/{sandboxID}/tokens/rotate", h.rotateSandboxTokens)
	router.Post("/sandboxes/{sandboxID}/timeout", h.setTimeout)
	router.Post("/sandboxes/{sandboxID}/refreshes", h.refreshSandbox)
	router.Put("/sandboxes/{sandboxID}/network", h.updateNetwork)
	router.Post("/sandboxes/{sandboxID}/fork", h.forkSandbox)
	router.Post("/sandboxes/{sandboxID}/snapshots", h.takeSnapshot)
	router.Get("/snapshots", h.listSnapshots)
	router.Get("/sandboxes/metrics", h.listLatestMetrics)
	router.Get("/sandboxes/{sandboxID}/metrics", h.listSandboxMetrics)
	router.Get("/teams/{teamID}/metrics", h.listTeamMetrics)
	router.Get("/teams/{teamID}/metrics/max", h.maxTeamMetric)
	router.Get("/sandboxes/{sandboxID}/logs", h.listLogsV1)
	router.Get("/v2/sandboxes/{sandboxID}/logs", h.listLogsV2)
	router.Post("/admin/teams/{teamID}/sandboxes/kill", h.killTeamSandboxes)
	router.Get("/admin/sandboxes/running-counts", h.countRunning)
}
