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
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Demand is what an operation would add to what a team has.
type Demand struct {
	// Sandboxes is how many begin to run.
	Sandboxes int32
	// Needs is what all of them need together.
	Needs scheduler.Resources
	// Creates is how many are new.
	Creates int32
}

// Admit checks a demand against a team's limits. Its transaction holds the team's
// row from then on, so that others of the team wait and then see what was added;
// it must come before the host's row is locked, as in the schema's triggers. The
// fault names the limit and what the team has.
func Admit(ctx context.Context, conn db.Conn, teamID uuid.UUID, demand Demand) error {
	queries := rows.New(conn)
	has, err := queries.LockTeamUse(ctx, teamID)
	if err != nil {
		return fmt.Errorf("get what team %s has: %w", teamID, err)
	}
	limits, err := queries.GetTeamLimits(ctx, teamID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get the limits of team %s: %w", teamID, err)
	}
	if err := compare(limits, has, demand); err != nil {
		return err
	}
	if demand.Creates == 0 || limits.MaxCreatesPerMinute == nil {
		return nil
	}
	return spendCreates(ctx, queries, has, *limits.MaxCreatesPerMinute, demand.Creates)
}

// compare says which limit a demand would break, if any.
func compare(limits rows.TeamLimit, has rows.TeamUse, demand Demand) error {
	for _, limit := range []struct {
		name      string
		most      *int64
		has, more int64
	}{
		{"sandboxes at once", widened(limits.MaxSandboxes), int64(has.SandboxCount), int64(demand.Sandboxes)},
		{"vCPUs", limits.MaxVCPUCount, has.VCPUCount, demand.Needs.VCPUs},
		{"MiB of memory", limits.MaxMemoryMiB, has.MemoryMiB, demand.Needs.MemoryMiB},
		{"MiB of disk", limits.MaxDiskMiB, has.DiskMiB, demand.Needs.DiskMiB},
	} {
		if limit.most != nil && limit.more > 0 && limit.has+limit.more > *limit.most {
			return fault.New(fault.RateLimited, "the team may have %d %s, and has %d of them; this would take %d more",
				*limit.most, limit.name, limit.has, limit.more).Because(fault.TeamLimit)
		}
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

// spendCreates takes from a team's allowance, which fills up within a minute.
func spendCreates(ctx context.Context, queries *rows.Queries, has rows.TeamUse, perMinute, creates int32) error {
	now, err := queries.Now(ctx)
	if err != nil {
		return fmt.Errorf("ask the database for the time: %w", err)
	}
	rate := float64(perMinute) / time.Minute.Seconds()
	allowance := min(float64(perMinute), has.CreateAllowance+rate*min(now.Sub(has.CreateRefilledAt), time.Minute).Seconds())
	tell := func(left, waitFor float64) {
		standing := ratelimit.Standing{Limit: int(perMinute), Remaining: int(left)}
		if rate > 0 {
			standing.Reset = time.Duration(waitFor / rate * float64(time.Second))
		}
		ratelimit.Tell(ctx, standing)
	}
	if missing := float64(creates) - allowance; missing > 0 {
		message := "the team may create %d sandboxes a minute"
		tell(allowance, missing)
		if rate == 0 || creates > perMinute {
			return fault.New(fault.RateLimited, message, perMinute).Because(fault.TeamLimit)
		}
		return fault.TooSoon(time.Duration(missing/rate*float64(time.Second)), message, perMinute)
	}
	left := allowance - float64(creates)
	tell(left, float64(perMinute)-left)
	err = queries.SpendCreates(ctx, rows.SpendCreatesParams{
		TeamID: has.TeamID, CreateAllowance: left, RefilledAt: now,
	})
	if err != nil {
		return fmt.Errorf("count the creates of team %s: %w", has.TeamID, err)
	}
	return nil
}
