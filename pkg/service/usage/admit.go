package usage

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Demand is what an operation would add to what a team has.
type Demand struct {
	// Sandboxes is how many begin to run.
	Sandboxes int64
	// Needs is what all of them need together.
	Needs scheduler.Resources
	// Creates is how many are new.
	Creates int64
	// Each is what each of those has whose size is chosen; zero for sizes that are given.
	Each scheduler.Resources
}

// Admit checks a demand against a team's limits. Its transaction holds the team's
// account from then on, so that other demands of the team wait and then see what was
// added. Lock order, as in the schema's triggers: the account, then the host's row. The
// fault names the limit and what the team has.
func Admit(ctx context.Context, conn db.Conn, teamID uuid.UUID, demand Demand) error {
	tx := newStore(conn)
	has, err := tx.lock(ctx, teamID)
	if err != nil {
		return err
	}
	limits, err := tx.limits(ctx, teamID)
	if err != nil {
		return err
	}
	if err := limits.CheckEach(demand.Each); err != nil {
		return err
	}
	if err := compare(limits, has.has, demand); err != nil {
		return err
	}
	if demand.Creates == 0 || limits.MaxCreatesPerMinute == nil {
		return nil
	}
	return spendCreates(ctx, tx, teamID, has, *limits.MaxCreatesPerMinute, demand.Creates)
}

// compare returns the first limit that a demand would exceed.
func compare(limits Limits, has Has, demand Demand) error {
	for _, limit := range []struct {
		name      string
		most      *int64
		has, more int64
	}{
		{"sandboxes at once", limits.MaxSandboxes, has.Sandboxes, demand.Sandboxes},
		{"vCPUs", limits.MaxVCPUs, has.VCPUs, demand.Needs.VCPUs},
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

// spendCreates takes from a team's allowance, which refills within a minute.
func spendCreates(ctx context.Context, tx *store, teamID uuid.UUID, has account, perMinute, creates int64) error {
	now, err := tx.now(ctx)
	if err != nil {
		return err
	}
	rate := float64(perMinute) / time.Minute.Seconds()
	allowance := min(float64(perMinute), has.allowance+rate*min(now.Sub(has.refilledAt), time.Minute).Seconds())
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
	return tx.setAllowance(ctx, teamID, left, now)
}
