package credits

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// batch is how many events are charged for in one transaction.
const batch = 500

// charge takes a credit for each sandbox of a team that has started since it was
// last called, and returns what is left. The row's lock and the event that was
// seen last make it exact with any number of replicas, and however they end.
func (e *Extension) charge(ctx context.Context, teamID uuid.UUID) (credits int64, err error) {
	err = pgx.BeginFunc(ctx, e.server.Pool, func(tx pgx.Tx) error {
		var seen int64
		err := tx.QueryRow(ctx, "SELECT credits, seen_event FROM credits_accounts WHERE team_id = $1 FOR UPDATE", teamID).Scan(&credits, &seen)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // a team without an account has nothing
		}
		if err != nil {
			return fmt.Errorf("read the account of team %s: %w", teamID, err)
		}
		for {
			started, err := events.NewLog(tx).After(ctx, teamID, seen, started, batch)
			if err != nil {
				return err
			}
			if len(started) == 0 {
				break
			}
			credits, seen = credits-int64(len(started)), started[len(started)-1].ID
		}
		_, err = tx.Exec(ctx, "UPDATE credits_accounts SET credits = $2, seen_event = $3 WHERE team_id = $1", teamID, credits, seen)
		return err
	})
	return credits, err
}

// topUp gives a team credits. A new account is charged for what starts from now on.
func (e *Extension) topUp(ctx context.Context, teamID uuid.UUID, credits int64) error {
	latest, err := e.server.EventLog.Latest(ctx, teamID)
	if err != nil {
		return err
	}
	_, err = e.server.Pool.Exec(ctx, `INSERT INTO credits_accounts AS a (team_id, credits, seen_event) VALUES ($1, $2, $3)
		ON CONFLICT (team_id) DO UPDATE SET credits = a.credits + excluded.credits`, teamID, credits, latest)
	if err != nil {
		return fmt.Errorf("top up the account of team %s: %w", teamID, err)
	}
	return nil
}

func (e *Extension) teams(ctx context.Context) ([]uuid.UUID, error) {
	found, err := e.server.Pool.Query(ctx, "SELECT team_id FROM credits_accounts")
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return pgx.CollectRows(found, pgx.RowTo[uuid.UUID])
}
