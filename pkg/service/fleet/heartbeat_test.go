package fleet_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
)

// breakable is a host that can be cut off.
type breakable struct {
	*host.Client
	cut atomic.Bool
}

var errCut = errors.New("cut off")

func (b *breakable) Info(ctx context.Context) (host.Info, error) {
	if b.cut.Load() {
		return host.Info{}, errCut
	}
	return b.Client.Info(ctx)
}

func (f fixture) hostState(t *testing.T) lifecycle.HostState {
	t.Helper()
	row, err := rows.New(f.Pool).GetHost(t.Context(), f.Host)
	require.NoError(t, err)
	return row.State
}

// follow runs a HostSync over a host that can be cut off.
func (f fixture) follow(t *testing.T) (*breakable, chan<- struct{}) {
	t.Helper()
	client := host.NewClient(f.Agent.RPCSocket)
	t.Cleanup(client.Close)
	b := &breakable{Client: client}
	nudges := make(chan struct{}, 1)
	sync := fleet.NewSync(f.Pool, f.Host, b, f.Service, f.Templates, f.Log,
		fleet.SyncOptions{UnreachableAfter: 100 * time.Millisecond, Nudges: nudges})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sync.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return b, nudges
}

func TestHost_ThatIsAwayGetsNoSandboxesAndLosesNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ran, slept, died := f.Start(t), f.Start(t), f.Start(t)
	require.NoError(t, f.Pause(t.Context(), f.Team, slept.ID, sandbox.Pause{}))
	b, nudges := f.follow(t)
	b.cut.Store(true)
	nudges <- struct{}{}
	require.Eventually(t, func() bool { return f.hostState(t) == lifecycle.HostUnreachable }, servicetest.Patience, 20*time.Millisecond)
	_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.Equal(t, fault.Unavailable, fault.CodeOf(err), "%v", err)
	f.Agent.Put(died.ID, servicetest.SeenGone)
	require.Equal(t, sandbox.Running, f.Stored(t, ran.ID).State)
	require.Equal(t, sandbox.Paused, f.Stored(t, slept.ID).State)
	require.Equal(t, sandbox.Running, f.Stored(t, died.ID).State, "what happened meanwhile is not known")

	b.cut.Store(false)
	require.Eventually(t, func() bool { return f.hostState(t) == lifecycle.HostReady }, servicetest.Patience, 20*time.Millisecond)
	require.Equal(t, sandbox.Killed, f.Stored(t, died.ID).State, "what happened is known before it gets new ones")
	require.Equal(t, sandbox.Running, f.Stored(t, ran.ID).State)
	require.Equal(t, sandbox.Paused, f.Stored(t, slept.ID).State)
	f.Start(t)
}

func TestHost_ThatWasToBeDrainedIsDrainedWhenItReturns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	registry := f.registry(t)
	s := f.Start(t)
	b, nudges := f.follow(t)
	b.cut.Store(true)
	nudges <- struct{}{}
	require.Eventually(t, func() bool { return f.hostState(t) == lifecycle.HostUnreachable }, servicetest.Patience, 20*time.Millisecond)
	require.Equal(t, fault.Conflict, fault.CodeOf(registry.Undrain(t.Context(), f.Host)))
	require.NoError(t, registry.Drain(t.Context(), f.Host))
	b.cut.Store(false)
	require.Eventually(t, func() bool { return f.Stored(t, s.ID).State == sandbox.Paused }, servicetest.Patience, 20*time.Millisecond)
	require.Equal(t, lifecycle.HostDraining, f.hostState(t))
	require.NoError(t, registry.Undrain(t.Context(), f.Host))
	_, err := f.Resume(t.Context(), f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
}
