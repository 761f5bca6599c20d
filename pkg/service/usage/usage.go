// Package usage knows what teams use and may use: it sums up the past, and admits what
// a team's limits allow.
package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Usage is the service of what teams use and may use. The counting itself is the
// schema's: a trigger opens and closes an interval with each change of state.
type Service struct{ Queries *rows.Queries }

// Used is what a team's sandboxes have used in a time, running or being paused.
type Used struct {
	Since, Until time.Time
	// Sandboxes is how many ran at some moment of it.
	Sandboxes   int64
	VCPUSeconds float64
	// GiBSeconds is memory over time.
	GiBSeconds float64
}

// maxUsageTime bounds the work of one question.
const maxUsageTime = 400 * 24 * time.Hour

// Between sums up what a team has used from one moment to another. What lies in
// the future is not counted.
func (u *Service) Between(ctx context.Context, teamID uuid.UUID, since, until time.Time) (Used, error) {
	if !since.Before(until) {
		return Used{}, fault.New(fault.Invalid, "start must be before end")
	}
	if until.Sub(since) > maxUsageTime {
		return Used{}, fault.New(fault.Invalid, "end must be at most %d days after start", int(maxUsageTime.Hours()/24))
	}
	sum, err := u.Queries.SumUsage(ctx, rows.SumUsageParams{TeamID: teamID, Since: since, Until: until})
	if err != nil {
		return Used{}, fmt.Errorf("sum up the usage of team %s: %w", teamID, err)
	}
	return Used{Since: since, Until: until, Sandboxes: sum.Sandboxes, VCPUSeconds: sum.VCPUSeconds, GiBSeconds: sum.GibSeconds}, nil
}

// Has is what a team has at this moment.
func (u *Service) Has(ctx context.Context, teamID uuid.UUID) (rows.TeamUse, error) {
	has, err := u.Queries.GetTeamUse(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.TeamUse{TeamID: teamID}, nil
	}
	if err != nil {
		return has, fmt.Errorf("get what team %s has: %w", teamID, err)
	}
	return has, nil
}
