package audit

import (
	"context"
	"fmt"
	"math"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// store reads and writes the table of entries.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) store { return store{rows.New(conn)} }

func (s store) append(ctx context.Context, entry Entry) error {
	details := []byte(entry.Details)
	if len(details) == 0 {
		details = []byte("{}")
	}
	err := s.queries.AppendAudit(ctx, rows.AppendAuditParams{
		TeamID: entry.TeamID, ActorKind: entry.Actor.Kind, ActorID: clip(entry.Actor.ID), ActorName: clip(entry.Actor.Name),
		Action: clip(entry.Action), ResourceKind: entry.Resource.Kind, ResourceID: clip(entry.Resource.ID),
		Outcome: string(entry.Outcome), Status: int32(entry.Status), Address: clip(entry.Address),
		UserAgent: clip(entry.UserAgent), RequestID: clip(entry.RequestID), Details: details,
	})
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

// endOfTime is later than any entry, and within what PostgreSQL can store.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s store) list(ctx context.Context, query Query) ([]Entry, error) {
	if query.BeforeID == 0 {
		query.BeforeID = math.MaxInt64
	}
	if query.Until.IsZero() {
		query.Until = endOfTime
	}
	found, err := s.queries.ListAudit(ctx, rows.ListAuditParams{
		TeamID: query.TeamID, BeforeID: query.BeforeID, ActorID: query.ActorID, Action: query.Action,
		ResourceID: query.ResourceID, Outcome: string(query.Outcome), Since: query.Since, Until: query.Until,
		PageSize: int32(query.Limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	entries := make([]Entry, 0, len(found))
	for _, row := range found {
		entries = append(entries, entryOf(row))
	}
	return entries, nil
}

func (s store) deleteOld(ctx context.Context, before time.Time, batch int32) (int64, error) {
	deleted, err := s.queries.DeleteOldAudit(ctx, rows.DeleteOldAuditParams{Before: before, Batch: batch})
	if err != nil {
		return 0, fmt.Errorf("delete old audit entries: %w", err)
	}
	return deleted, nil
}

func entryOf(row rows.AuditEntry) Entry {
	return Entry{
		ID: row.ID, At: row.At.UTC(), TeamID: row.TeamID, Action: row.Action,
		Actor:    Actor{Kind: row.ActorKind, ID: row.ActorID, Name: row.ActorName},
		Resource: Resource{Kind: row.ResourceKind, ID: row.ResourceID},
		Outcome:  Outcome(row.Outcome), Status: int(row.Status), Address: row.Address,
		UserAgent: row.UserAgent, RequestID: row.RequestID, Details: row.Details,
	}
}
