package db

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"git.omukk.dev/wrenn/sandbox/db/migrations"
)

// queueSteps are those of our migrations that are the job queue's own: ours by
// number, with the version of the queue's schema that each leads to. A newer
// queue gets a step more.
var queueSteps = map[int64]int{10: 8}

// Migrate brings the schema up to date. An advisory lock makes replicas that
// start together take turns.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	return withCore(pool, func(provider *goose.Provider) error {
		if _, err := provider.Up(ctx); err != nil {
			return fmt.Errorf("migrate database: %w", err)
		}
		return nil
	})
}

// Rollback takes the schema back to a version; 0 leaves nothing. What the newer
// versions have stored is lost.
func Rollback(ctx context.Context, pool *pgxpool.Pool, version int64) error {
	return withCore(pool, func(provider *goose.Provider) error {
		if _, err := provider.DownTo(ctx, version); err != nil {
			return fmt.Errorf("take database back to version %d: %w", version, err)
		}
		return nil
	})
}

// MigrateExtension brings up to date what an extension stores, by goose's SQL
// files at the root of files. Their history is in a table of its own,
// goose_extension_<name>, so that their numbers mean nothing to anybody else's.
func MigrateExtension(ctx context.Context, pool *pgxpool.Pool, name string, files fs.FS) error {
	return withMigrations(pool, files, func(provider *goose.Provider) error {
		if _, err := provider.Up(ctx); err != nil {
			return fmt.Errorf("migrate the tables of extension %s: %w", name, err)
		}
		return nil
	}, goose.WithTableName(extensionTable(name)))
}

// RollbackExtension takes what an extension stores back to a version; 0 leaves
// nothing of it.
func RollbackExtension(ctx context.Context, pool *pgxpool.Pool, name string, files fs.FS, version int64) error {
	return withMigrations(pool, files, func(provider *goose.Provider) error {
		if _, err := provider.DownTo(ctx, version); err != nil {
			return fmt.Errorf("take the tables of extension %s back to version %d: %w", name, version, err)
		}
		return nil
	}, goose.WithTableName(extensionTable(name)))
}

func extensionTable(name string) string { return "goose_extension_" + name }

func withCore(pool *pgxpool.Pool, run func(*goose.Provider) error) error {
	queue, err := queueMigrations(pool)
	if err != nil {
		return err
	}
	return withMigrations(pool, migrations.Files, run, goose.WithGoMigrations(queue...))
}

func withMigrations(pool *pgxpool.Pool, files fs.FS, run func(*goose.Provider) error, options ...goose.ProviderOption) error {
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return fmt.Errorf("make migration lock: %w", err)
	}
	database := stdlib.OpenDBFromPool(pool)
	defer database.Close()
	// What an importer of goose has registered for itself is not ours.
	options = append(options, goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	provider, err := goose.NewProvider(goose.DialectPostgres, database, files, options...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return run(provider)
}

// queueMigrations makes the job queue's schema a part of ours, under the same
// lock and in the same order.
func queueMigrations(pool *pgxpool.Pool) ([]*goose.Migration, error) {
	// The queue tells of its steps what goose tells already.
	queue, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("read migrations of the job queue: %w", err)
	}
	var steps []*goose.Migration
	for number, version := range queueSteps {
		migrate := func(direction rivermigrate.Direction, target int) *goose.GoFunc {
			return &goose.GoFunc{RunDB: func(ctx context.Context, _ *sql.DB) error {
				_, err := queue.Migrate(ctx, direction, &rivermigrate.MigrateOpts{TargetVersion: target})
				return err
			}}
		}
		steps = append(steps, goose.NewGoMigration(number,
			migrate(rivermigrate.DirectionUp, version), migrate(rivermigrate.DirectionDown, queueVersionBefore(number))))
	}
	return steps, nil
}

// queueVersionBefore is the version of the queue's schema that a step began with;
// -1 is none at all.
func queueVersionBefore(number int64) int {
	before := -1
	for other, version := range queueSteps {
		if other < number {
			before = max(before, version)
		}
	}
	return before
}
