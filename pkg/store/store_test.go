package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

const claimant = 7

// fixture is a database with a team and a host.
type fixture struct {
	*store.Sandboxes
	pool *pgxpool.Pool
	team uuid.UUID
	host uuid.UUID
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	pool := dbtest.Open(t)
	f := &fixture{Sandboxes: store.NewSandboxes(pool), pool: pool, team: uuid.New(), host: uuid.New()}
	f.exec(t, `INSERT INTO teams (id, slug, name) VALUES ($1, 'team', 'Team')`, f.team)
	f.exec(t, `INSERT INTO hosts (id, name) VALUES ($1, 'host')`, f.host)
	return f
}

func (f *fixture) exec(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// creating is a sandbox with something in every field that is inserted.
func (f *fixture) creating() sandbox.Sandbox {
	no := false
	return sandbox.Sandbox{
		ID: id.NewSandbox(), TeamID: f.team, HostID: f.host, TemplateID: "base", Alias: "alias", BuildID: uuid.UUID{0: 1},
		State: sandbox.Creating, Claimant: claimant, VCPUCount: 2, MemoryMiB: 512, DiskMiB: 1024, EnvdVersion: "1.0.0", Secure: true,
		Lifecycle: sandbox.Lifecycle{AutoPause: true, AutoResume: true},
		Metadata:  map[string]string{"user": "ada"}, PlacementGroup: "group",
		Network: sandbox.Network{
			AllowPublicTraffic: &no, AllowInternetAccess: &no, AllowOut: []string{"example.com"}, DenyOut: []string{"10.0.0.0/8"},
			MaskRequestHost: "localhost:${PORT}", HTTPSPorts: []uint16{8443},
			Rules: map[string][]sandbox.NetworkRule{"example.com": {{SetHeaders: map[string]string{"X-Key": "${e2b.secrets.key}"}}}},
			EgressProxy: &sandbox.EgressProxy{
				Address: "proxy:1080", Username: "u", TLS: &sandbox.EgressProxyTLS{Enabled: true, ServerName: "proxy"},
			},
		},
	}
}

// insert stores a sandbox in a transaction, as a placement does.
func (f *fixture) insert(t *testing.T, creating sandbox.Sandbox) sandbox.Sandbox {
	t.Helper()
	var stored sandbox.Sandbox
	require.NoError(t, pgx.BeginFunc(t.Context(), f.pool, func(tx pgx.Tx) (err error) {
		stored, err = store.NewSandboxes(tx).Insert(t.Context(), creating)
		return err
	}))
	return stored
}

// change is one change of a sandbox.
type change func(context.Context, *store.Sandboxes, sandbox.Sandbox) (sandbox.Sandbox, error)

func claim(next sandbox.State, cause sandbox.EndCause) change {
	return func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
		return s.Claim(ctx, read, next, cause, claimant)
	}
}

func move(outcome store.Outcome) change {
	return func(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
		return s.Move(ctx, read, outcome)
	}
}

func start(ctx context.Context, s *store.Sandboxes, read sandbox.Sandbox) (sandbox.Sandbox, error) {
	read.VCPUCount, read.MemoryMiB = 4, 2048
	return s.Start(ctx, read, time.Hour)
}
