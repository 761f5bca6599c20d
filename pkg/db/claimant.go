package db

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// claimantLockClass is the first half of the advisory lock; the schema's
	// function living_claimants has the same number.
	claimantLockClass = 1467114862
	claimantCheck     = 15 * time.Second
	// claimantRetry is short: until the lock is back, others take this claimant
	// for dead.
	claimantRetry = 100 * time.Millisecond
	// claimantPatience is how long PostgreSQL may take to drop the lock of a
	// connection that broke, before another number is taken.
	claimantPatience = 10 * time.Second
)

// Claimant is a control plane's sign of life in the database: an advisory lock
// that PostgreSQL drops by itself when the process dies. What a dead claimant
// was working on is up for grabs at once.
type Claimant struct {
	url  string
	log  *slog.Logger
	id   atomic.Int32
	conn *pgx.Conn
}

// NewClaimant takes a number and its lock. Hold keeps them.
func NewClaimant(ctx context.Context, url string, log *slog.Logger) (*Claimant, error) {
	c := &Claimant{url: url, log: log}
	if err := c.acquire(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// ID is the number to claim sandboxes with.
func (c *Claimant) ID() int32 { return c.id.Load() }

// Hold keeps the lock until ctx ends: where its connection breaks, with a new
// one under the same number, so that what is being worked on stays claimed.
func (c *Claimant) Hold(ctx context.Context) {
	for ctx.Err() == nil {
		if c.watch(ctx) == nil {
			continue
		}
		c.release()
		c.log.WarnContext(ctx, "the claimant lock is lost, taking it again")
		for ctx.Err() == nil && c.acquire(ctx) != nil {
			wait.For(ctx, claimantRetry)
		}
	}
	c.release()
}

// watch answers with an error as soon as the connection breaks, and without one
// every now and then.
func (c *Claimant) watch(ctx context.Context) error {
	silence, cancel := context.WithTimeout(ctx, claimantCheck)
	defer cancel()
	if _, err := c.conn.WaitForNotification(silence); err != nil && silence.Err() == nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	return c.conn.Ping(ctx)
}

// acquire takes the number it had, as soon as PostgreSQL lets go of it, or a new
// one.
func (c *Claimant) acquire(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return fmt.Errorf("connect for the claimant lock: %w", err)
	}
	c.conn = conn
	for patience := time.Now().Add(claimantPatience); ; wait.For(ctx, claimantRetry) {
		candidate := c.ID()
		if candidate == 0 || time.Now().After(patience) {
			candidate = 1 + rand.Int32N(1<<31-2)
		}
		var taken bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", claimantLockClass, candidate).Scan(&taken); err != nil {
			c.release()
			return fmt.Errorf("take the claimant lock: %w", err)
		}
		if taken {
			c.id.Store(candidate)
			return nil
		}
	}
}

func (c *Claimant) release() {
	const patience = time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = c.conn.Close(ctx) // closing twice, or a broken one, is harmless
}
