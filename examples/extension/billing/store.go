package billing

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// batch is the most events that are charged in one transaction.
const batch = 500

// store reads and writes the extension's tables.
type store struct{ pool *pgxpool.Pool }

// quota returns how many sandboxes a team may run at a time; withoutPlan is for teams
// that have no plan.
func (s store) quota(ctx context.Context, team uuid.UUID, withoutPlan int64) (quota int64, err error) {
	query := "SELECT coalesce((SELECT sandboxes FROM billing_plans WHERE team_id = $1), $2)"
	if err = s.pool.QueryRow(ctx, query, team, withoutPlan).Scan(&quota); err != nil {
		return 0, fmt.Errorf("read the plan of team %s: %w", team, err)
	}
	return quota, nil
}

func (s store) setPlan(ctx context.Context, wanted plan) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO billing_plans (team_id, sandboxes) VALUES ($1, $2)
		ON CONFLICT (team_id) DO UPDATE SET sandboxes = excluded.sandboxes`, wanted.TeamID, wanted.Sandboxes)
	if err != nil {
		return fmt.Errorf("set the plan of team %s: %w", wanted.TeamID, err)
	}
	return nil
}

// charge charges a team for each sandbox that has started since its last charge. It
// reads the log of events, where none is missing, also if no control plane ran. An
// event that another control plane charges at the same time is charged once.
func (s store) charge(ctx context.Context, team uuid.UUID, cents int64) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var last int64
		query := "SELECT coalesce(max(event_id), 0) FROM billing_charges WHERE team_id = $1"
		if err := tx.QueryRow(ctx, query, team).Scan(&last); err != nil {
			return fmt.Errorf("read the last charge of team %s: %w", team, err)
		}
		starts, err := events.NewLog(tx).After(ctx, team, last, started, batch)
		if err != nil {
			return err
		}
		for _, start := range starts {
			insert := "INSERT INTO billing_charges (event_id, team_id, sandbox_id, cents) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
			if _, err := tx.Exec(ctx, insert, start.ID, team, start.ResourceID, cents); err != nil {
				return fmt.Errorf("charge team %s for sandbox %s: %w", team, start.ResourceID, err)
			}
		}
		return nil
	})
}

func (s store) bill(ctx context.Context, team uuid.UUID) (bill, error) {
	query := "SELECT count(*) AS sandboxes, coalesce(sum(cents), 0)::bigint AS cents FROM billing_charges WHERE team_id = $1"
	found, _ := s.pool.Query(ctx, query, team) // its error is found's
	return pgx.CollectExactlyOneRow(found, pgx.RowToStructByName[bill])
}
