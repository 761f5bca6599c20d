package sandboxes_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
)

// reap runs the reaper until the test ends.
func (f fixture) reap(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Reap(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// expire ends the time of a sandbox as long ago as that.
func (f fixture) expire(t *testing.T, sandboxID string, ago time.Duration) {
	t.Helper()
	_, err := f.Pool.Exec(t.Context(), "UPDATE sandboxes SET end_at = now() - $2::interval WHERE id = $1", sandboxID, ago)
	require.NoError(t, err)
}

func TestReap_KillsOrPausesWhatHasExpired(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	killed := f.Start(t)
	kept, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{
		Template: "base", TimeoutSeconds: 600, Lifecycle: sandbox.Lifecycle{AutoPause: true, AutoPauseWithoutMemory: true},
	})
	require.NoError(t, err)
	f.expire(t, killed.ID, 0)
	f.expire(t, kept.ID, 0)
	f.reap(t)
	require.Eventually(t, func() bool {
		return f.Stored(t, killed.ID).State == sandbox.Killed && f.Stored(t, kept.ID).State == sandbox.Paused
	}, servicetest.Patience, 20*time.Millisecond)
	require.Equal(t, sandbox.CauseExpired, f.Stored(t, killed.ID).EndCause)
	require.Equal(t, "its time was over", f.Stored(t, killed.ID).Reason)
	require.True(t, f.Agent.Pause(kept.ID).WithoutMemory)
	require.True(t, f.Stored(t, kept.ID).WithoutMemory)
}

// The cause that is stored when a kill begins is the one of its event, whichever process
// ends it.
func TestReap_LeavesTheCauseToTheReconcilerThatEndsTheKill(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	expired := f.Start(t)
	f.expire(t, expired.ID, 0)
	claimed, err := f.Store.ClaimExpired(t.Context(), 1, 1) // by a process that dies then
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	require.NoError(t, f.Reconcile(t.Context(), f.Host))
	require.Equal(t, sandbox.Killed, f.Stored(t, expired.ID).State)
	var last string
	require.NoError(t, f.Pool.QueryRow(t.Context(), "SELECT type FROM events WHERE resource_id = $1 ORDER BY id DESC LIMIT 1", expired.ID).Scan(&last))
	require.Equal(t, string(sandbox.EventExpired), last)
}

// A host that does not answer delays the ends of other sandboxes for no longer than
// reapPatience.
func TestReap_EndsASandboxWhileTheEndsOfManyHang(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var hanging []sandbox.Sandbox
	for range 10 {
		hanging = append(hanging, f.Start(t))
	}
	last := f.Start(t)
	release := make(chan struct{})
	f.Agent.Before(func(ctx context.Context, operation, sandboxID string) error {
		if operation != "kill" || sandboxID == last.ID {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-release:
		}
		return ctx.Err()
	})
	for _, one := range hanging {
		f.expire(t, one.ID, time.Minute)
	}
	f.expire(t, last.ID, 0)
	f.reap(t)
	t.Cleanup(func() { close(release) }) // before reap's cleanup waits
	require.Eventually(t, func() bool {
		_, there := f.Agent.States()[last.ID]
		return !there
	}, servicetest.Patience, 20*time.Millisecond)
	require.Len(t, f.Agent.States(), len(hanging))
}
