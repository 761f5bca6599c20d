package audit

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

const (
	// maxTextBytes bounds what a client can write into the log.
	maxTextBytes = 256
	deleteBatch  = 1000
	// LeastRetention is how long the database keeps every entry, whatever it is
	// asked to delete.
	LeastRetention = 30 * 24 * time.Hour
)

// Log is the audit log.
type Log struct{ Queries *rows.Queries }

// Append writes an entry. Its ID and time are ignored.
func (l Log) Append(ctx context.Context, entry Entry) error {
	details := []byte(entry.Details)
	if len(details) == 0 {
		details = []byte("{}")
	}
	err := l.Queries.AppendAudit(ctx, rows.AppendAuditParams{
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

// clip makes a client's text fit for storing.
func clip(text string) string {
	if len(text) > maxTextBytes {
		text = text[:maxTextBytes]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Query selects entries of one team. Zero fields select all.
type Query struct {
	// TeamID is zero for what belongs to no team.
	TeamID  uuid.UUID
	ActorID string
	// Action is a whole action or, such as "sandbox.*", all of a kind.
	Action     string
	ResourceID string
	Outcome    Outcome
	// Since and Until bound the time: from the first, before the second.
	Since, Until time.Time
	// BeforeID goes on behind the last entry of a page.
	BeforeID int64
	// Limit is how many entries a page has at most.
	Limit int
}

// endOfTime is later than any entry, and earlier than what PostgreSQL can hold.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// List returns a page of entries, the newest first.
func (l Log) List(ctx context.Context, query Query) ([]Entry, error) {
	if query.BeforeID == 0 {
		query.BeforeID = math.MaxInt64
	}
	if query.Until.IsZero() {
		query.Until = endOfTime
	}
	found, err := l.Queries.ListAudit(ctx, rows.ListAuditParams{
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

func entryOf(row rows.AuditEntry) Entry {
	return Entry{
		ID: row.ID, At: row.At.UTC(), TeamID: row.TeamID, Action: row.Action,
		Actor:    Actor{Kind: row.ActorKind, ID: row.ActorID, Name: row.ActorName},
		Resource: Resource{Kind: row.ResourceKind, ID: row.ResourceID},
		Outcome:  Outcome(row.Outcome), Status: int(row.Status), Address: row.Address,
		UserAgent: row.UserAgent, RequestID: row.RequestID, Details: row.Details,
	}
}

// Expire deletes entries from before a time, but none younger than
// LeastRetention, and returns how many those were.
func (l Log) Expire(ctx context.Context, before time.Time) (int64, error) {
	// A minute more, because the database's clock decides.
	if latest := time.Now().Add(-LeastRetention - time.Minute); before.After(latest) {
		before = latest
	}
	var total int64
	for {
		deleted, err := l.Queries.DeleteOldAudit(ctx, rows.DeleteOldAuditParams{Before: before, Batch: deleteBatch})
		if err != nil {
			return total, fmt.Errorf("delete old audit entries: %w", err)
		}
		if total += deleted; deleted < deleteBatch {
			return total, nil
		}
	}
}
