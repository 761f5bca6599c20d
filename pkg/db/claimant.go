package db

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// claimantLockClass is the first half of the advisory lock; the schema's
	// function claimant_alive has the same number.
	claimantLockClass = 1467114862
	claimantRetry     = time.Second
	claimantCheck     = 15 * time.Second
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

// Hold keeps the lock until ctx ends, with a new connection where one breaks.
func (c *Claimant) Hold(ctx context.Context) {
	check := time.NewTicker(claimantCheck)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			c.release()
			return
		case <-check.C:
		}
		for c.conn.Ping(ctx) != nil && ctx.Err() == nil {
			c.release()
			if err := c.acquire(ctx); err != nil {
				c.log.Warn("lost the claimant lock", "error", err)
			}
			pause(ctx, claimantRetry)
		}
	}
}

func (c *Claimant) acquire(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return fmt.Errorf("connect for the claimant lock: %w", err)
	}
	c.conn = conn
	for {
		candidate := 1 + rand.Int32N(1<<31-2)
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
	ctx, cancel := context.WithTimeout(context.Background(), claimantRetry)
	defer cancel()
	_ = c.conn.Close(ctx) // closing twice, or a broken one, is harmless
}

func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
