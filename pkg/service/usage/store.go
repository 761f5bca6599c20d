package usage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// store maps rows to what teams use and may use.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) *store { return &store{rows.New(conn)} }

// limits returns no limit for a team without a row.
func (s *store) limits(ctx context.Context, teamID uuid.UUID) (Limits, error) {
	row, err := s.queries.GetTeamLimits(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Limits{}, nil
	}
	if err != nil {
		return Limits{}, fmt.Errorf("get the limits of team %s: %w", teamID, err)
	}
	return Limits{
		MaxSandboxes: widened(row.MaxSandboxes), MaxVCPUs: row.MaxVCPUCount, MaxMemoryMiB: row.MaxMemoryMiB, MaxDiskMiB: row.MaxDiskMiB,
		MaxBuilds: widened(row.MaxBuilds), MaxCreatesPerMinute: widened(row.MaxCreatesPerMinute),
		MaxVolumes: widened(row.MaxVolumes), MaxVolumeMiB: row.MaxVolumeMiB, MaxSecrets: widened(row.MaxSecrets), MaxSnapshots: widened(row.MaxSnapshots),
		MaxSandboxVCPUs: row.MaxSandboxVCPUCount, MaxSandboxMemoryMiB: row.MaxSandboxMemoryMiB, MaxSandboxDiskMiB: row.MaxSandboxDiskMiB,
	}, nil
}

func (s *store) setLimits(ctx context.Context, teamID uuid.UUID, limits Limits) error {
	err := s.queries.SetTeamLimits(ctx, rows.SetTeamLimitsParams{
		TeamID: teamID, MaxSandboxes: narrowed(limits.MaxSandboxes), MaxVCPUCount: limits.MaxVCPUs,
		MaxMemoryMiB: limits.MaxMemoryMiB, MaxDiskMiB: limits.MaxDiskMiB,
		MaxBuilds: narrowed(limits.MaxBuilds), MaxCreatesPerMinute: narrowed(limits.MaxCreatesPerMinute),
		MaxVolumes: narrowed(limits.MaxVolumes), MaxVolumeMiB: limits.MaxVolumeMiB, MaxSecrets: narrowed(limits.MaxSecrets), MaxSnapshots: narrowed(limits.MaxSnapshots),
		MaxSandboxVCPUCount: limits.MaxSandboxVCPUs, MaxSandboxMemoryMiB: limits.MaxSandboxMemoryMiB, MaxSandboxDiskMiB: limits.MaxSandboxDiskMiB,
	})
	if err != nil {
		return fmt.Errorf("set the limits of team %s: %w", teamID, err)
	}
	return nil
}

func widened(limit *int32) *int64 {
	if limit == nil {
		return nil
	}
	wide := int64(*limit)
	return &wide
}

// narrowed is for limits that fit 32 bits.
func narrowed(limit *int64) *int32 {
	if limit == nil {
		return nil
	}
	narrow := int32(*limit)
	return &narrow
}

// account is what a team has, and how many sandboxes it may create now.
type account struct {
	has        Has
	allowance  float64
	refilledAt time.Time
}

func accountOf(row rows.TeamUse) account {
	return account{
		has:       Has{Sandboxes: int64(row.SandboxCount), VCPUs: row.VCPUCount, MemoryMiB: row.MemoryMiB, DiskMiB: row.DiskMiB},
		allowance: row.CreateAllowance, refilledAt: row.CreateRefilledAt,
	}
}

// has returns nothing for a team without a row.
func (s *store) has(ctx context.Context, teamID uuid.UUID) (Has, error) {
	row, err := s.queries.GetTeamUse(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Has{}, nil
	}
	if err != nil {
		return Has{}, fmt.Errorf("get what team %s has: %w", teamID, err)
	}
	return accountOf(row).has, nil
}

// lock holds a team's account until the transaction ends.
func (s *store) lock(ctx context.Context, teamID uuid.UUID) (account, error) {
	row, err := s.queries.LockTeamUse(ctx, teamID)
	if err != nil {
		return account{}, fmt.Errorf("get what team %s has: %w", teamID, err)
	}
	return accountOf(row), nil
}

// Lock holds the account of a team until the transaction ends, so that nothing of the
// team is placed meanwhile. It comes before the locks of the team's and of hosts' rows.
func Lock(ctx context.Context, conn db.Conn, teamID uuid.UUID) error {
	_, err := newStore(conn).lock(ctx, teamID)
	return err
}

// now returns the time of the database, which is the same for all control planes.
func (s *store) now(ctx context.Context) (time.Time, error) {
	now, err := s.queries.Now(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the database for the time: %w", err)
	}
	return now, nil
}

// setAllowance is for a transaction that holds the account.
func (s *store) setAllowance(ctx context.Context, teamID uuid.UUID, allowance float64, at time.Time) error {
	err := s.queries.SpendCreates(ctx, rows.SpendCreatesParams{TeamID: teamID, CreateAllowance: allowance, RefilledAt: at})
	if err != nil {
		return fmt.Errorf("count the creates of team %s: %w", teamID, err)
	}
	return nil
}

func (s *store) sum(ctx context.Context, teamID uuid.UUID, since, until time.Time) (Used, error) {
	sum, err := s.queries.SumUsage(ctx, rows.SumUsageParams{TeamID: teamID, Since: since, Until: until})
	if err != nil {
		return Used{}, fmt.Errorf("sum up the usage of team %s: %w", teamID, err)
	}
	built, err := s.queries.SumBuildUsage(ctx, rows.SumBuildUsageParams{TeamID: teamID, Since: since, Until: until})
	if err != nil {
		return Used{}, fmt.Errorf("sum up the builds of team %s: %w", teamID, err)
	}
	return Used{
		Since: since, Until: until, Sandboxes: sum.Sandboxes, VCPUSeconds: sum.VCPUSeconds, GiBSeconds: sum.GibSeconds,
		Builds: built.Builds, BuildVCPUSeconds: built.VCPUSeconds, BuildGiBSeconds: built.GibSeconds,
	}, nil
}

func (s *store) createdAt(ctx context.Context, teamID uuid.UUID) (time.Time, error) {
	team, err := s.queries.GetTeam(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, fault.New(fault.NotFound, "team %s was not found", teamID)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("get team %s: %w", teamID, err)
	}
	return team.CreatedAt, nil
}

// RequireTeam returns NotFound where there is no such team.
func RequireTeam(ctx context.Context, conn db.Conn, teamID uuid.UUID) error {
	_, err := newStore(conn).createdAt(ctx, teamID)
	return err
}

// metrics returns a metric for each step that ends at one of the moments of a span.
func (s *store) metrics(ctx context.Context, teamID uuid.UUID, span Span, step time.Duration) ([]TeamMetric, error) {
	found, err := s.queries.ListTeamMetrics(ctx, rows.ListTeamMetricsParams{
		TeamID: teamID, Step: step, StartAt: span.Start, EndAt: span.End,
	})
	if err != nil {
		return nil, fmt.Errorf("list the metrics of team %s: %w", teamID, err)
	}
	metrics := make([]TeamMetric, 0, len(found))
	for _, row := range found {
		metrics = append(metrics, TeamMetric{At: row.At, Concurrent: row.Concurrent, StartRate: float64(row.Started) / step.Seconds()})
	}
	return metrics, nil
}

func (s *store) maxConcurrent(ctx context.Context, teamID uuid.UUID, span Span) (Peak, error) {
	row, err := s.queries.MaxConcurrent(ctx, rows.MaxConcurrentParams{TeamID: teamID, StartAt: span.Start, EndAt: span.End})
	if err != nil {
		return Peak{}, fmt.Errorf("find the most sandboxes of team %s: %w", teamID, err)
	}
	return Peak{At: row.At, Value: float64(row.Value)}, nil
}

func (s *store) maxStartRate(ctx context.Context, teamID uuid.UUID, span Span, step time.Duration) (Peak, error) {
	row, err := s.queries.MaxStarts(ctx, rows.MaxStartsParams{TeamID: teamID, Step: step, StartAt: span.Start, EndAt: span.End})
	if err != nil {
		return Peak{}, fmt.Errorf("find the most starts of team %s: %w", teamID, err)
	}
	return Peak{At: row.At, Value: float64(row.Value) / step.Seconds()}, nil
}
