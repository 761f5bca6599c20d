// Package store keeps sandboxes in PostgreSQL. It is the one place where their rows
// become values of pkg/sandbox and back.
//
// A change of a sandbox, the line in its log and its event are one transaction. The event
// is the last statement, because from then on other transactions that write events of the
// team wait.
package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Errors that callers decide on.
var (
	// ErrNotFound is returned where no sandbox has the ID.
	ErrNotFound = errors.New("the sandbox is not stored")
	// ErrOvertaken is returned by a compare and set where the sandbox has changed since
	// it was read.
	ErrOvertaken = errors.New("changed meanwhile")
)

// Conn runs statements one by one and in batches: a pool, a connection or a
// transaction. A batch is one transaction, or part of the one it is sent in.
type Conn interface {
	db.Conn
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// Sandboxes stores sandboxes.
type Sandboxes struct {
	conn    Conn
	queries *rows.Queries
}

// NewSandboxes makes Sandboxes over a pool or a transaction.
func NewSandboxes(conn Conn) *Sandboxes {
	return &Sandboxes{conn: conn, queries: rows.New(conn)}
}
