package db_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// What cannot be reached may be tried again; what was refused may not.
func ExampleIsUnavailable() {
	away := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	fmt.Println(db.IsUnavailable(fmt.Errorf("list teams: %w", away)))
	fmt.Println(db.IsUnavailable(pgx.ErrNoRows))
	// Output:
	// true
	// false
}

// Queries work on a pool or, to change several things as one, on a transaction.
func ExampleNew() {
	use := func(ctx context.Context, pool *pgxpool.Pool, key string) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			queries := rows.New(tx)
			found, err := queries.FindAPIKey(ctx, auth.HashKey(key))
			if err != nil {
				return fmt.Errorf("find key: %w", err)
			}
			return queries.TouchAPIKey(ctx, found.ID)
		})
	}
	_ = use
}
