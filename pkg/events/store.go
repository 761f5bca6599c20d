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

// store reads and writes the table of events.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) store { return store{rows.New(conn)} }

func (s store) insert(ctx context.Context, draft Draft) error {
	data := []byte("{}")
	if draft.Data != nil {
		var err error
		if data, err = json.Marshal(draft.Data); err != nil {
			return fmt.Errorf("encode event %s: %w", draft.Type, err)
		}
	}
	err := s.queries.RecordEvent(ctx, rows.RecordEventParams{
		TeamID: draft.TeamID, Type: string(draft.Type), ResourceID: draft.ResourceID, Data: data,
	})
	if err != nil {
		return fmt.Errorf("record event %s: %w", draft.Type, err)
	}
	return nil
}

func (s store) list(ctx context.Context, teamID uuid.UUID, after int64, filter Filter, limit int) ([]Event, error) {
	found, err := s.queries.ListEvents(ctx, rows.ListEventsParams{
		TeamID: teamID, After: after, Types: orEmpty(filter.Types), HiddenKinds: orEmpty(filter.HiddenKinds),
		ResourceID: filter.ResourceID, PageSize: int32(limit),
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

// orEmpty is for columns of the query that are compared with a list and not with NULL.
func orEmpty(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

// snapshot names what is visible now, for since.
func (s store) snapshot(ctx context.Context) (string, error) {
	snapshot, err := s.queries.CurrentSnapshot(ctx)
	if err != nil {
		return "", fmt.Errorf("read the current snapshot: %w", err)
	}
	return snapshot, nil
}

// since returns the events of all teams that were not visible in a snapshot.
func (s store) since(ctx context.Context, snapshot string) ([]Event, error) {
	found, err := s.queries.EventsSince(ctx, snapshot)
	if err != nil {
		return nil, fmt.Errorf("read new events: %w", err)
	}
	fresh := make([]Event, 0, len(found))
	for _, row := range found {
		fresh = append(fresh, eventOf(row))
	}
	return fresh, nil
}

func (s store) latest(ctx context.Context, teamID uuid.UUID) (int64, error) {
	id, err := s.queries.LatestEvent(ctx, teamID)
	if err != nil {
		return 0, fmt.Errorf("find latest event: %w", err)
	}
	return id, nil
}

func (s store) oldest(ctx context.Context) (int64, error) {
	id, err := s.queries.OldestEvent(ctx)
	if err != nil {
		return 0, fmt.Errorf("find oldest event: %w", err)
	}
	return id, nil
}

func (s store) deleteOld(ctx context.Context, before time.Time, batch int32) (int64, error) {
	deleted, err := s.queries.DeleteOldEvents(ctx, rows.DeleteOldEventsParams{Before: before, Batch: batch})
	if err != nil {
		return 0, fmt.Errorf("delete old events: %w", err)
	}
	return deleted, nil
}

func eventOf(row rows.EventsSinceRow) Event {
	return Event{
		ID: row.ID, Type: Type(row.Type), TeamID: row.TeamID, ResourceID: row.ResourceID,
		At: row.At.UTC(), Data: json.RawMessage(row.Data),
	}
}
