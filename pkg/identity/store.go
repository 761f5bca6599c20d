package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
)

// store maps rows to the package's types.
type store struct{ queries *rows.Queries }

func newStore(conn db.Conn) *store { return &store{rows.New(conn)} }

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

// tell adds an event to those of the transaction.
func (c *changes) tell(teamID uuid.UUID, kind events.Type, resource uuid.UUID, data any) {
	c.pending = append(c.pending, events.Draft{TeamID: teamID, Type: kind, ResourceID: resource.String(), Data: data})
}

// errNoRow is returned where the row to be read or changed does not exist.
var errNoRow = errors.New("there is no such row")

// wrap says what failed. Where the row does not exist it returns errNoRow alone.
func wrap(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return errNoRow
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// changed is wrap for a statement that says how many rows it changed.
func changed(count int64, err error, doing string) error {
	if err == nil && count == 0 {
		return errNoRow
	}
	return wrap(err, doing)
}

// orElse replaces errNoRow.
func orElse(err, missing error) error {
	if errors.Is(err, errNoRow) {
		return missing
	}
	return err
}

// isDuplicate says whether a row was refused by a unique index.
func isDuplicate(err error) bool {
	const uniqueViolation = "23505"
	var refusal *pgconn.PgError
	return errors.As(err, &refusal) && refusal.Code == uniqueViolation
}

// optional is nil for the zero ID.
func optional(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
