package api

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// TeamMetrics is the service behind the routes of teams' metrics.
type TeamMetrics interface {
	TeamMetrics(ctx context.Context, teamID uuid.UUID, span usage.Span) ([]usage.TeamMetric, error)
	MaxConcurrent(ctx context.Context, teamID uuid.UUID, span usage.Span) (usage.Peak, error)
	MaxStartRate(ctx context.Context, teamID uuid.UUID, span usage.Span) (usage.Peak, error)
}

// teamMetric is a team at one moment.
type teamMetric struct {
	Timestamp           time.Time `json:"timestamp"`
	TimestampUnix       int64     `json:"timestampUnix"`
	ConcurrentSandboxes int32     `json:"concurrentSandboxes"`
	SandboxStartRate    float64   `json:"sandboxStartRate"`
}

// maxTeamMetric is the most that was reached.
type maxTeamMetric struct {
	Timestamp     time.Time `json:"timestamp"`
	TimestampUnix int64     `json:"timestampUnix"`
	Value         float64   `json:"value"`
}

// ownTeam checks that the team in the path is the one that the credential is for.
func ownTeam(r *http.Request) (uuid.UUID, error) {
	named, err := uuid.Parse(chi.URLParam(r, "teamID"))
	if err != nil {
		return uuid.Nil, fault.New(fault.Invalid, "teamID is not a UUID")
	}
	if named != teamOf(r) {
		return uuid.Nil, fault.New(fault.Forbidden, "the credential is not for this team")
	}
	return named, nil
}

func (s *Server) listTeamMetrics(w http.ResponseWriter, r *http.Request) error {
	teamID, err := ownTeam(r)
	if err != nil {
		return err
	}
	span, err := spanQuery(r.URL.Query())
	if err != nil {
		return err
	}
	points, err := s.TeamMetrics.TeamMetrics(r.Context(), teamID, span)
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
	writeJSON(w, http.StatusOK, metrics)
	return nil
}

func (s *Server) maxTeamMetric(w http.ResponseWriter, r *http.Request) error {
	teamID, err := ownTeam(r)
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
		peak, err = s.TeamMetrics.MaxConcurrent(r.Context(), teamID, span)
	case "sandbox_start_rate":
		peak, err = s.TeamMetrics.MaxStartRate(r.Context(), teamID, span)
	default:
		err = fault.New(fault.Invalid, "metric must be concurrent_sandboxes or sandbox_start_rate")
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, maxTeamMetric{Timestamp: peak.At.UTC(), TimestampUnix: peak.At.Unix(), Value: peak.Value})
	return nil
}
