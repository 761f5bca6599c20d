package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Log reads the events that are stored.
type Log struct{ store store }

// NewLog reads by a pool or within a transaction.
func NewLog(conn db.Conn) Log { return Log{newStore(conn)} }

// After returns up to limit of a team's events with greater IDs than after, oldest
// first. Within a team no event with a smaller ID appears later.
func (l Log) After(ctx context.Context, teamID uuid.UUID, after int64, filter Filter, limit int) ([]Event, error) {
	return l.store.list(ctx, teamID, after, filter, limit)
}

// Latest is the ID of a team's newest event, 0 where there is none.
func (l Log) Latest(ctx context.Context, teamID uuid.UUID) (int64, error) {
	return l.store.latest(ctx, teamID)
}

// Complete says whether no event with a greater ID than after has expired, of any
// team: a reader who has seen after can read all that followed.
func (l Log) Complete(ctx context.Context, after int64) (bool, error) {
	oldest, err := l.store.oldest(ctx)
	if err != nil {
		return false, err
	}
	return after >= oldest-1, nil
}

// deleteBatch is how many rows one statement deletes.
const deleteBatch = 1000

// Expire deletes dispatched events from before a time and returns how many it deleted.
func (l Log) Expire(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		deleted, err := l.store.deleteOld(ctx, before, deleteBatch)
		if err != nil {
			return total, err
		}
		if total += deleted; deleted < deleteBatch {
			return total, nil
		}
	}
}
