package service_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const patience = 15 * time.Second

// fixture is the service over a real database and a host agent for tests.
type fixture struct {
	*service.Sandboxes
	pool  *pgxpool.Pool
	agent *hosttest.Agent
	sync  *service.HostSync
	team  uuid.UUID
	host  uuid.UUID
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := dbtest.URL(t)
	pool, err := db.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	queries := rows.New(pool)
	team, err := queries.EnsureTeam(t.Context(), rows.EnsureTeamParams{ID: uuid.New(), Slug: "default", Name: "Default"})
	require.NoError(t, err)
	local, err := queries.EnsureHost(t.Context(), rows.EnsureHostParams{ID: uuid.New(), Name: "local"})
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	agent := hosttest.Start(t, http.NotFoundHandler())
	client := host.NewClient(agent.RPCSocket)
	t.Cleanup(client.Close)
	tokens, err := auth.NewTokens(make([]byte, auth.SecretKeySize))
	require.NoError(t, err)
	fleet := &service.Fleet{}
	fleet.Put(local.ID, client)
	sandboxes := &service.Sandboxes{
		Queries: queries, Hosts: fleet, Tokens: tokens,
		Placement: service.NewPlacement(pool, scheduler.NewSpread(rand.New(rand.NewPCG(1, 1))), log),
		Claimant:  newClaimant(t, url), Log: log, MaxTimeout: time.Hour,
	}
	f := &fixture{
		Sandboxes: sandboxes, pool: pool, agent: agent, team: team.ID, host: local.ID,
		sync: &service.HostSync{Pool: pool, Host: client, HostID: local.ID, Sandboxes: sandboxes, Log: log},
	}
	require.NoError(t, f.sync.Sync(t.Context()))
	return f
}

// newClaimant takes a claimant's lock until the test ends.
func newClaimant(t *testing.T, url string) *db.Claimant {
	t.Helper()
	claimant, err := db.NewClaimant(t.Context(), url, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		claimant.Hold(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return claimant
}

func (f *fixture) create(t *testing.T) rows.Sandbox {
	t.Helper()
	sandbox, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 600})
	require.NoError(t, err)
	return sandbox
}

// stored is what the database says of a sandbox, visible or not.
func (f *fixture) stored(t *testing.T, sandboxID string) rows.Sandbox {
	t.Helper()
	sandbox, err := f.Queries.GetSandbox(context.Background(), sandboxID)
	require.NoError(t, err)
	return sandbox
}

// force puts a sandbox into a state in the database alone, in the name of a
// claimant.
func (f *fixture) force(t *testing.T, sandboxID string, state lifecycle.State, claimant int32) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), "UPDATE sandboxes SET state = $2, claimant = $3, version = version + 1 WHERE id = $1",
		sandboxID, state, claimant)
	require.NoError(t, err)
}
