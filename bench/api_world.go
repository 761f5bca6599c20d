package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/postgres"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

const (
	apiDomain = "localhost:3000"
	// databaseUser is whom Debian's package of PostgreSQL makes.
	databaseUser = "postgres"
	// apiTeams have so many sandboxes each: a page of the API's.
	apiTeams, sandboxesEach = 20, 100
	stopTimeout             = 30 * time.Second
)

// apiWorld is a database, the control plane over it, and the bare handler beside
// that.
type apiWorld struct {
	wrenn, bare string // addresses
	teams       []apiTeam
	directory   string
	undo        []func() error
}

type apiTeam struct {
	id        uuid.UUID
	key       string
	sandboxes []string
}

func startAPIWorld(ctx context.Context, output io.Writer) (_ *apiWorld, err error) {
	w := &apiWorld{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.directory, err = os.MkdirTemp("", "wrenn-bench-"); err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error { return os.RemoveAll(w.directory) })
	if err := os.Chmod(w.directory, 0o755); err != nil { // PostgreSQL must get through
		return nil, err
	}
	server, err := w.startDatabase(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := db.Open(ctx, server.URL())
	if err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error { pool.Close(); return nil })
	if err := db.Migrate(ctx, pool); err != nil {
		return nil, err
	}
	if err := w.fill(ctx, pool); err != nil {
		return nil, fmt.Errorf("fill the database: %w", err)
	}
	secret := make([]byte, auth.SecretKeySize)
	rand.Read(secret) // never fails
	if err := w.serveBare(ctx, rows.New(pool), secret); err != nil {
		return nil, err
	}
	return w, w.serveWrenn(ctx, server.URL(), secret, output)
}

func (w *apiWorld) startDatabase(ctx context.Context) (*postgres.Server, error) {
	settings := postgres.Config{
		DataDir: filepath.Join(w.directory, "data"), SocketDir: filepath.Join(w.directory, "socket"),
		LogPath: filepath.Join(w.directory, "log"),
	}
	if os.Geteuid() == 0 {
		settings.User = databaseUser
	}
	server, err := postgres.Start(ctx, settings)
	if err != nil {
		return nil, err
	}
	w.undo = append(w.undo, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		return server.Stop(ctx)
	})
	return server, nil
}

// fill makes teams with a key and sandboxes each; every fifth of these is paused.
func (w *apiWorld) fill(ctx context.Context, pool *pgxpool.Pool) error {
	queries := rows.New(pool)
	host, err := queries.EnsureHost(ctx, rows.EnsureHostParams{ID: uuid.New(), Name: "bench"})
	if err != nil {
		return err
	}
	for number := range apiTeams {
		slug := fmt.Sprintf("team-%d", number)
		made, err := queries.EnsureTeam(ctx, rows.EnsureTeamParams{ID: uuid.New(), Slug: slug, Name: slug})
		if err != nil {
			return err
		}
		team := apiTeam{id: made.ID, key: auth.NewKey()}
		mask := auth.MaskKey(team.key)
		_, err = queries.CreateAPIKey(ctx, rows.CreateAPIKeyParams{
			ID: uuid.New(), TeamID: team.id, Name: "bench", KeyHash: auth.HashKey(team.key), KeyPrefix: mask.Prefix,
			ValueLength: int32(mask.ValueLength), MaskedPrefix: mask.MaskedStart, MaskedSuffix: mask.MaskedEnd,
		})
		if err != nil {
			return err
		}
		found, err := pool.Query(ctx, `
			INSERT INTO sandboxes (id, team_id, host_id, template_id, alias, build_id, state, started_at, end_at, auto_pause,
				metadata, vcpu_count, memory_mib, disk_mib, envd_version)
			SELECT 'i' || substr(md5(gen_random_uuid()::text), 1, 19), $1, $2, 'rki5dems9wqfm4r03t7g', 'base', gen_random_uuid(),
				CASE n % 5 WHEN 0 THEN 'paused' ELSE 'running' END, now() - n * interval '1 second', now() + interval '1 day', false,
				jsonb_build_object('user', 'user-' || n, 'project', 'project-' || n % 7), 2, 512, 2048, '0.6.4'
			FROM generate_series(1, $3) n RETURNING id`, team.id, host.ID, sandboxesEach)
		if err != nil {
			return err
		}
		if team.sandboxes, err = pgx.CollectRows(found, pgx.RowTo[string]); err != nil {
			return err
		}
		w.teams = append(w.teams, team)
	}
	_, err = pool.Exec(ctx, "VACUUM ANALYZE")
	return err
}

func (w *apiWorld) serveBare(ctx context.Context, queries *rows.Queries, secret []byte) error {
	tokens, err := auth.NewTokens(secret)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: bareHandler(queries, tokens), ReadHeaderTimeout: stopTimeout}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	w.bare = listener.Addr().String()
	w.undo = append(w.undo, func() error {
		err := server.Close()
		if ended := <-ended; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	})
	return nil
}

// serveWrenn runs a whole control plane that has no host yet, and waits until it
// answers.
func (w *apiWorld) serveWrenn(ctx context.Context, databaseURL string, secret []byte, output io.Writer) error {
	secretFile := filepath.Join(w.directory, "secret")
	if err := os.WriteFile(secretFile, secret, 0o600); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.wrenn = listener.Addr().String()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		ended <- cpserver.Run(running, cpserver.WithListener(listener), cpserver.WithOutput(io.Discard),
			cpserver.WithLogger(slog.New(slog.NewTextHandler(output, nil))), cpserver.WithConfig(config.Config{
				DatabaseURL: databaseURL, Domain: apiDomain, SecretKeyFile: secretFile, MaxTimeout: time.Hour,
			}))
	}()
	w.undo = append(w.undo, func() error { stop(); return <-ended })
	return nil
}

func (w *apiWorld) close() error {
	var failures []error
	for _, undo := range slices.Backward(w.undo) {
		failures = append(failures, undo())
	}
	return errors.Join(failures...)
}
