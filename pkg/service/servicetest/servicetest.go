// Package servicetest builds the services over a real database and a host agent for
// tests, without a control plane around them.
package servicetest

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
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

// Patience bounds what a test waits for.
const Patience = 15 * time.Second

// Fixture is the service of sandboxes over a database of the test's own, with one team
// and one host.
type Fixture struct {
	*sandboxes.Service
	Agent *hosttest.Agent
	Sync  *fleet.Sync
	Team  uuid.UUID
	Host  uuid.UUID

	// What the service was made of.
	Pool      *pgxpool.Pool
	Store     *store.Sandboxes
	Claimant  *db.Claimant
	Tokens    *auth.Tokens
	Hosts     *fleet.Agents
	Placement *placement.Service
	Templates *templates.Service
	Volumes   *volumes.Service
	Log       *slog.Logger
}

// New builds the services and takes over what the host says of itself.
func New(t *testing.T) *Fixture {
	t.Helper()
	url := dbtest.URL(t)
	pool, err := db.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	queries := rows.New(pool)
	team, err := queries.EnsureTeam(t.Context(), rows.EnsureTeamParams{ID: uuid.New(), Slug: "default", Name: "Default"})
	require.NoError(t, err)
	local, err := fleet.EnsureLocal(t.Context(), pool, "local")
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	agent := hosttest.Start(t, http.NotFoundHandler())
	client := host.NewLocalLink(agent.RPCSocket, agent.TrafficSocket)
	t.Cleanup(client.Close)
	tokens, err := auth.NewTokens(make([]byte, auth.SecretKeySize))
	require.NoError(t, err)
	agents := &fleet.Agents{}
	agents.Put(local.ID, client)
	f := &Fixture{
		Agent: agent, Team: team.ID, Host: local.ID,
		Pool: pool, Store: store.NewSandboxes(pool), Claimant: newClaimant(t, url), Tokens: tokens, Hosts: agents,
		Templates: templates.New(pool, agents.SnapshotHost, log), Volumes: volumes.New(pool, agents, tokens, 0, log), Log: log,
	}
	f.Placement = placement.New(pool, scheduler.NewSpread(rand.New(rand.NewPCG(1, 1))), log)
	f.Service = f.WithPlacement(f.Placement)
	f.Sync = fleet.NewSync(pool, local.ID, client, f.Service, f.Templates, log, fleet.SyncOptions{})
	require.NoError(t, f.Sync.Sync(t.Context()))
	return f
}

// WithPlacement makes another service over the same database and hosts, as another
// control plane has it.
func (f *Fixture) WithPlacement(placer *placement.Service) *sandboxes.Service {
	return sandboxes.New(f.Pool, f.Claimant, f.Tokens, f.Hosts, placer, f.Templates, f.Volumes,
		sandboxes.AllowAll{}, f.Log, sandboxes.Options{MaxTimeout: time.Hour})
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

// Start creates a sandbox of the base template.
func (f *Fixture) Start(t *testing.T) sandbox.Sandbox {
	t.Helper()
	started, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 600})
	require.NoError(t, err)
	return started
}

// Stored is what the database says of a sandbox, visible or not.
func (f *Fixture) Stored(t *testing.T, sandboxID string) sandbox.Sandbox {
	t.Helper()
	stored, err := f.Store.Get(context.Background(), sandboxID)
	require.NoError(t, err)
	return stored
}

// Force puts a sandbox into a state in the database alone, in the name of a
// claimant.
func (f *Fixture) Force(t *testing.T, sandboxID string, state sandbox.State, claimant int32) {
	t.Helper()
	_, err := f.Pool.Exec(t.Context(), "UPDATE sandboxes SET state = $2, claimant = $3, version = version + 1 WHERE id = $1",
		sandboxID, state, claimant)
	require.NoError(t, err)
}
