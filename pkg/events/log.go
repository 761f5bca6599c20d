package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Record writes an event. In a transaction call it last: from then on other
// transactions of the team wait.
// data becomes the event's JSON object; nil is an empty one.
func Record(ctx context.Context, conn db.Conn, teamID uuid.UUID, kind Type, resourceID string, data any) error {
	encoded := []byte("{}")
	if data != nil {
		var err error
		if encoded, err = json.Marshal(data); err != nil {
			return fmt.Errorf("encode event %s: %w", kind, err)
		}
	}
	err := rows.New(conn).RecordEvent(ctx, rows.RecordEventParams{TeamID: teamID, Type: string(kind), ResourceID: resourceID, Data: encoded})
	if err != nil {
		return fmt.Errorf("record event %s: %w", kind, err)
	}
	return nil
}

// Log is what has happened so far.
type Log struct{ queries *rows.Queries }

// NewLog reads by a pool, or within a transaction.
func NewLog(conn db.Conn) Log { return Log{queries: rows.New(conn)} }

// After returns up to limit of a team's events behind an ID, oldest first. Within
// a team no event appears later behind one that has been returned.
func (l Log) After(ctx context.Context, teamID uuid.UUID, after int64, filter Filter, limit int) ([]Event, error) {
	types, hidden := filter.Types, filter.HiddenKinds
	if types == nil {
		types = []string{}
	}
	if hidden == nil {
		hidden = []string{}
	}
	found, err := l.queries.ListEvents(ctx, rows.ListEventsParams{
		TeamID: teamID, After: after, Types: types, HiddenKinds: hidden, ResourceID: filter.ResourceID, PageSize: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	listed := make([]Event, 0, len(found))
	for _, row := range found {
		listed = append(listed, eventOf(rows.EventsSinceRow(row)))
	}
	return listed, nil
}

// Latest is the ID of a team's newest event, 0 where there is none.
func (l Log) Latest(ctx context.Context, teamID uuid.UUID) (int64, error) {
	id, err := l.queries.LatestEvent(ctx, teamID)
	if err != nil {
		return 0, fmt.Errorf("find latest event: %w", err)
	}
	return id, nil
}

// Complete says whether a reader who has seen an event can read all that came
// after it: whether nothing behind it has expired. It is false too where what has
// expired was another team's.
func (l Log) Complete(ctx context.Context, after int64) (bool, error) {
	oldest, err := l.queries.OldestEvent(ctx)
	if err != nil {
		return false, fmt.Errorf("find oldest event: %w", err)
	}
	return after >= oldest-1, nil
}

// deleteBatch is how many rows one statement deletes.
const deleteBatch = 1000

// Expire deletes events from before a time that have been dispatched, and returns
// how many those were.
func (l Log) Expire(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		deleted, err := l.queries.DeleteOldEvents(ctx, rows.DeleteOldEventsParams{Before: before, Batch: deleteBatch})
		if err != nil {
			return total, fmt.Errorf("delete old events: %w", err)
		}
		if total += deleted; deleted < deleteBatch {
			return total, nil
		}
	}
}

func eventOf(row rows.EventsSinceRow) Event {
	return Event{
		ID: row.ID, Type: Type(row.Type), TeamID: row.TeamID, ResourceID: row.ResourceID,
		At: row.At.UTC(), Data: json.RawMessage(row.Data),
	}
}
