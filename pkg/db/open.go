// Package db is the database: connections, schema, and one Go method for each
// query of db/queries (in the generated files).
package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// leastConnections keeps requests from waiting for each other on small machines,
// where the driver's default is four.
const leastConnections = 16

// trustedIdle is for how long a connection that was used is believed to be
// there still; later it is asked first, so that a database that was started
// again is nobody's failure.
const trustedIdle = 20 * time.Millisecond

// Open connects to PostgreSQL.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read database address: %w", err)
	}
	config.MaxConns = max(config.MaxConns, leastConnections)
	config.ShouldPing = func(_ context.Context, connection pgxpool.ShouldPingParams) bool {
		return connection.IdleDuration > trustedIdle
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to database: %w", err)
	}
	return pool, nil
}

// IsUnavailable says whether an error means that the database cannot be reached
// at the moment, rather than that it refused a statement.
func IsUnavailable(err error) bool {
	var connect *pgconn.ConnectError
	var network *net.OpError
	if errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) {
		return true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // it was there a moment ago
		return true
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		// Class 08 is a connection's failure, 57P a server that stops or starts.
		return strings.HasPrefix(answer.Code, "08") || strings.HasPrefix(answer.Code, "57P")
	}
	return false
}

// IsUniqueViolation says whether a unique index has the value already.
func IsUniqueViolation(err error) bool { return hasCode(err, "23505") }

// IsForeignKeyViolation says whether the row refers to one that is not there, or is
// referred to.
func IsForeignKeyViolation(err error) bool { return hasCode(err, "23503") }

func hasCode(err error, code string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == code
}
