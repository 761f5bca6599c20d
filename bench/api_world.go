package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/postgres"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

const (
	apiDomain = "localhost:3000"
	// databaseUser is the user that Debian's PostgreSQL package creates.
	databaseUser = "postgres"
	// apiTeams have sandboxesEach sandboxes each, as many as a page of the API.
	apiTeams, sandboxesEach = 20, 100
	stopTimeout             = 30 * time.Second
)

// apiWorld is a database with two servers: the control plane and the bare handler.
type apiWorld struct {
	wrenn, bare string // addresses
	teams       []apiTeam
	steps       *boot.Sequence
	directory   string
	secret      []byte // from which both sides derive tokens
	database    *postgres.Server
	pool        *pgxpool.Pool
}

type apiTeam struct {
	id        uuid.UUID
	key       string
	sandboxes []string
}

// start starts the servers over a database that it fills.
func (w *apiWorld) start(ctx context.Context, output io.Writer) error {
	return w.steps.Start(ctx,
		boot.Step{Name: "make a directory", Do: w.makeDirectory},
		boot.Step{Name: "start PostgreSQL", Do: w.startDatabase},
		boot.Step{Name: "open the database", Do: w.openDatabase},
		boot.Step{Name: "fill the database", Do: w.fill},
		boot.Step{Name: "start the bare handler", Do: w.serveBare},
		boot.Step{Name: "start the control plane", Do: func(ctx context.Context) error { return w.serveWrenn(ctx, output) }},
	)
}

func (w *apiWorld) makeDirectory(context.Context) (err error) {
	if w.directory, err = os.MkdirTemp("", "wrenn-bench-"); err != nil {
		return err
	}
	w.secret = make([]byte, auth.SecretKeySize)
	rand.Read(w.secret) // never fails
	w.steps.OnStop("remove the directory", func(context.Context) error { return os.RemoveAll(w.directory) })
	return os.Chmod(w.directory, 0o755) // PostgreSQL's user must get through
}

func (w *apiWorld) startDatabase(ctx context.Context) (err error) {
	settings := postgres.Config{
		DataDir: filepath.Join(w.directory, "data"), SocketDir: filepath.Join(w.directory, "socket"),
		LogPath: filepath.Join(w.directory, "log"),
	}
	if os.Geteuid() == 0 {
		settings.User = databaseUser
	}
	if w.database, err = postgres.Start(ctx, settings); err != nil {
		return err
	}
	w.steps.OnStop("stop PostgreSQL", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		return w.database.Stop(ctx)
	})
	return nil
}

func (w *apiWorld) openDatabase(ctx context.Context) (err error) {
	if w.pool, err = db.Open(ctx, w.database.URL()); err != nil {
		return err
	}
	w.steps.OnStop("close the database", func(context.Context) error { w.pool.Close(); return nil })
	return db.Migrate(ctx, w.pool)
}

// fill makes teams, each with a key and sandboxes, of which every fifth is paused.
func (w *apiWorld) fill(ctx context.Context) error {
	queries := rows.New(w.pool)
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
		found, err := w.pool.Query(ctx, `
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
	_, err = w.pool.Exec(ctx, "VACUUM ANALYZE")
	return err
}

func (w *apiWorld) serveBare(ctx context.Context) error {
	tokens, err := auth.NewTokens(w.secret)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.bare = listener.Addr().String()
	server := &http.Server{Handler: bareHandler(rows.New(w.pool), tokens), ReadHeaderTimeout: stopTimeout}
	w.steps.Serve("serve the bare handler", func(ctx context.Context) error {
		return httpserver.Serve(ctx, server, listener, stopTimeout)
	})
	return nil
}

// serveWrenn runs a whole control plane without a host. Requests wait until it
// serves.
func (w *apiWorld) serveWrenn(ctx context.Context, output io.Writer) error {
	secretFile := filepath.Join(w.directory, "secret")
	if err := os.WriteFile(secretFile, w.secret, 0o600); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.wrenn = listener.Addr().String()
	w.steps.Serve("run the control plane", func(ctx context.Context) error {
		return cpserver.Run(ctx, cpserver.WithListener(listener), cpserver.WithOutput(io.Discard),
			cpserver.WithLogger(slog.New(slog.NewTextHandler(output, nil))), cpserver.WithConfig(config.Config{
				DatabaseURL: w.database.URL(), Domain: apiDomain, SecretKeyFile: secretFile, MaxTimeout: time.Hour,
			}))
	})
	return nil
}
