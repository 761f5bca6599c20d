package builds

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// endDeadJobs ends the jobs that a control plane had when it was killed. The queue would take
// them for running until a job's time is over, which is longer than any build: a job is dead
// whose build has ended, or has a job of a later turn, for a while.
const endDeadJobs = `UPDATE river_job j SET state = 'discarded', finalized_at = now()
WHERE j.kind = $1 AND j.state = 'running' AND j.attempted_at < now() - $2::interval AND NOT EXISTS (
    SELECT FROM build_requests r JOIN template_builds b ON b.id = r.build_id
    WHERE r.build_id = (j.args ->> 'buildID')::uuid AND (
        b.status = 'building' AND (r.turn = (j.args ->> 'turn')::integer OR r.turn_at >= now() - $2::interval)
        OR b.status <> 'building' AND b.updated_at >= now() - $2::interval))`

// deadAfter is how long a job may take to end whose build has ended.
const deadAfter = 10 * time.Second

func discardDeadJobs(ctx context.Context, pool *pgxpool.Pool) error {
	if _, err := pool.Exec(ctx, endDeadJobs, Job{}.Kind(), deadAfter); err != nil {
		return fmt.Errorf("end the jobs of builds whose control plane has died: %w", err)
	}
	return nil
}
