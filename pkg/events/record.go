package events

import (
	"bytes"
	"context"
	"slices"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Draft is an event before it is recorded, which gives it its ID and its time.
type Draft struct {
	TeamID     uuid.UUID
	Type       Type
	ResourceID string
	// Data becomes the event's JSON object; nil is an empty one.
	Data any
}

// Record writes an event. In a transaction it must be the last statement: it locks
// the events of the team until the transaction ends.
func Record(ctx context.Context, conn db.Conn, teamID uuid.UUID, kind Type, resourceID string, data any) error {
	return newStore(conn).insert(ctx, Draft{TeamID: teamID, Type: kind, ResourceID: resourceID, Data: data})
}

// RecordAll writes the events of a transaction, as its last statements. Events of a
// team keep their order. It locks the teams in the order of their IDs, so that two
// transactions never wait for each other.
func RecordAll(ctx context.Context, conn db.Conn, drafts ...Draft) error {
	drafts = slices.Clone(drafts)
	slices.SortStableFunc(drafts, func(a, b Draft) int { return bytes.Compare(a.TeamID[:], b.TeamID[:]) })
	for _, draft := range drafts {
		if err := newStore(conn).insert(ctx, draft); err != nil {
			return err
		}
	}
	return nil
}
