// Package usage knows what teams use and may use: it sums up the past, and admits what
// a team's limits allow.
package usage

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Service answers what teams use and may use. A trigger of the schema counts: it opens
// and closes an interval with each change of a sandbox's state; the service of builds does so
// with each build.
type Service struct{ pool *pgxpool.Pool }

// New reads and writes by a pool.
func New(pool *pgxpool.Pool) *Service { return &Service{pool} }

// Used is what a team's sandboxes have used in a time, running or being paused, and what
// its builds have.
type Used struct {
	Since, Until time.Time
	// Sandboxes is how many ran at some moment of it.
	Sandboxes   int64
	VCPUSeconds float64
	// GiBSeconds is memory over time.
	GiBSeconds float64
	// Builds is how many builds hosts worked on at some moment of it.
	Builds                            int64
	BuildVCPUSeconds, BuildGiBSeconds float64
}

// Has is what a team has at one moment: the sandboxes that run, and what they and, of
// disk, the paused ones hold.
type Has struct{ Sandboxes, VCPUs, MemoryMiB, DiskMiB int64 }

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
	return newStore(u.pool).sum(ctx, teamID, since, until)
}

// Has returns what a team has now.
func (u *Service) Has(ctx context.Context, teamID uuid.UUID) (Has, error) {
	return newStore(u.pool).has(ctx, teamID)
}
