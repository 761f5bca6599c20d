package sandboxes

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// TeamMetrics is the service of the metrics of teams.
type TeamMetrics interface {
	TeamMetrics(ctx context.Context, teamID uuid.UUID, span usage.Span) ([]usage.TeamMetric, error)
	MaxConcurrent(ctx context.Context, teamID uuid.UUID, span usage.Span) (usage.Peak, error)
	MaxStartRate(ctx context.Context, teamID uuid.UUID, span usage.Span) (usage.Peak, error)
}

// teamMetric is the use of a team at one moment.
type teamMetric struct {
	Timestamp           time.Time `json:"timestamp"`
	TimestampUnix       int64     `json:"timestampUnix"`
	ConcurrentSandboxes int32     `json:"concurrentSandboxes"`
	SandboxStartRate    float64   `json:"sandboxStartRate"`
}

// maxTeamMetric is the maximum of a metric in a time span.
type maxTeamMetric struct {
	Timestamp     time.Time `json:"timestamp"`
	TimestampUnix int64     `json:"timestampUnix"`
	Value         float64   `json:"value"`
}

func (h *Handlers) listTeamMetrics(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.OwnTeam(r)
	if err != nil {
		return err
	}
	span, err := spanQuery(r.URL.Query())
	if err != nil {
		return err
	}
	points, err := h.TeamMetrics.TeamMetrics(r.Context(), teamID, span)
	if err != nil {
		return err
	}
	metrics := make([]teamMetric, 0, len(points))
	for _, point := range points {
		metrics = append(metrics, teamMetric{
			Timestamp: point.At.UTC(), TimestampUnix: point.At.Unix(),
			ConcurrentSandboxes: point.Concurrent, SandboxStartRate: point.StartRate,
		})
	}
	respond.JSON(w, http.StatusOK, metrics)
	return nil
}

func (h *Handlers) maxTeamMetric(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.OwnTeam(r)
	if err != nil {
		return err
	}
	span, err := spanQuery(r.URL.Query())
	if err != nil {
		return err
	}
	var peak usage.Peak
	switch r.URL.Query().Get("metric") {
	case "concurrent_sandboxes":
		peak, err = h.TeamMetrics.MaxConcurrent(r.Context(), teamID, span)
	case "sandbox_start_rate":
		peak, err = h.TeamMetrics.MaxStartRate(r.Context(), teamID, span)
	default:
		err = fault.New(fault.Invalid, "metric must be concurrent_sandboxes or sandbox_start_rate")
	}
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, maxTeamMetric{Timestamp: peak.At.UTC(), TimestampUnix: peak.At.Unix(), Value: peak.Value})
	return nil
}
