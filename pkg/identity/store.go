package identity

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// store maps rows to the package's types.
type store struct {
	conn    db.Conn
	queries *rows.Queries
}

func newStore(conn db.Conn) *store { return &store{conn, rows.New(conn)} }

// changes is the store in a transaction, with the events of what was changed. They are
// written at the end of the transaction.
type changes struct {
	*store
	pending []events.Draft
}

// inTransaction runs work in one transaction and writes the events of its changes.
func (s *Service) inTransaction(ctx context.Context, work func(tx *changes) error) error {
	return inTransaction(ctx, s.pool, work)
}

func inTransaction(ctx context.Context, pool *pgxpool.Pool, work func(tx *changes) error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		made := &changes{store: newStore(tx)}
		if err := work(made); err != nil {
			return err
		}
		return events.RecordAll(ctx, tx, made.pending...)
	})
}

// record adds events to those of the transaction.
func (c *changes) record(drafts ...events.Draft) { c.pending = append(c.pending, drafts...) }

// optional is nil for the zero ID.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
