package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
)

// exchange sends several statements in one round trip and one transaction. The statements
// of before and then return nothing and are only collected. The statement of main returns
// one row and sends all: before, main, then.
type exchange struct {
	conn         Conn
	before, then noted
}

func (s *Sandboxes) exchange() *exchange { return &exchange{conn: s.conn} }

// main runs the statement whose row is returned.
func (e *exchange) main() *rows.Queries { return rows.New((*mainStatement)(e)) }

// errNotInExchange is returned for other statements.
var errNotInExchange = errors.New("an exchange has one statement with one row, and others without")

// noted collects statements without result. It implements the connection of rows.Queries.
type noted struct{ statements []statement }

type statement struct {
	sql       string
	arguments []any
}

func (n *noted) queries() *rows.Queries { return rows.New(n) }

func (n *noted) queue(batch *pgx.Batch) {
	for _, statement := range n.statements {
		batch.Queue(statement.sql, statement.arguments...)
	}
}

// Exec collects a statement.
func (n *noted) Exec(_ context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	n.statements = append(n.statements, statement{sql, arguments})
	return pgconn.CommandTag{}, nil
}

// Query is refused.
func (*noted) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errNotInExchange }

// QueryRow is refused.
func (*noted) QueryRow(context.Context, string, ...any) pgx.Row { return failedRow{} }

// mainStatement is the connection of the statement of main.
type mainStatement exchange

// Exec is refused.
func (*mainStatement) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, errNotInExchange
}

// Query is refused.
func (*mainStatement) Query(context.Context, string, ...any) (pgx.Rows, error) {
	return nil, errNotInExchange
}

// QueryRow sends all statements when its row is scanned.
func (m *mainStatement) QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row {
	batch := new(pgx.Batch)
	m.before.queue(batch)
	batch.Queue(sql, arguments...)
	m.then.queue(batch)
	return sentRow{ctx: ctx, conn: m.conn, batch: batch, skip: len(m.before.statements)}
}

// sentRow is the row of an exchange's main statement.
type sentRow struct {
	ctx   context.Context //nolint:containedctx // from QueryRow to the Scan that follows it at once
	conn  Conn
	batch *pgx.Batch
	skip  int
}

// Scan succeeds where all statements have.
func (r sentRow) Scan(destinations ...any) (err error) {
	results := r.conn.SendBatch(r.ctx, r.batch)
	defer func() {
		if closeErr := results.Close(); err == nil || errors.Is(err, pgx.ErrNoRows) && closeErr != nil {
			err = closeErr
		}
	}()
	for range r.skip {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	return results.QueryRow().Scan(destinations...)
}

type failedRow struct{}

// Scan fails.
func (failedRow) Scan(...any) error { return errNotInExchange }
