package sandboxes_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

func TestOperations_AnyMixEndsInAgreementWithTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	for range 5 {
		s := f.Start(t)
		var running sync.WaitGroup
		for worker := range 6 {
			running.Go(func() {
				random := rand.New(rand.NewPCG(uint64(worker), 1)) //nolint:gosec // a test's dice
				for range 8 {
					switch random.IntN(20) {
					case 0:
						_ = f.Kill(ctx, f.Team, s.ID)
					case 1, 2, 3, 4, 5, 6:
						_ = f.Pause(ctx, f.Team, s.ID, sandbox.Pause{})
					case 7, 8, 9, 10, 11, 12:
						_, _ = f.Resume(ctx, f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
					case 13, 14, 15:
						_ = f.Service.Reconcile(ctx, f.Host)
					case 16, 17:
						_ = f.SetTimeout(ctx, f.Team, s.ID, 60)
					default:
						_, _, _ = f.Connect(ctx, f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
					}
				}
			})
		}
		running.Wait()
		state := f.Stored(t, s.ID).State
		seen, exists := f.Agent.States()[s.ID]
		switch state {
		case sandbox.Running:
			require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, seen)
		case sandbox.Paused:
			require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, seen)
		default:
			require.Equal(t, sandbox.Killed, state)
			require.False(t, exists)
		}
	}
}

func TestKill_WinsOverAPauseUnderWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	pausing, killed := make(chan struct{}), make(chan struct{})
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "pause" {
			close(pausing)
			<-killed
		}
		return nil
	})
	paused := make(chan error, 1)
	go func() { paused <- f.Pause(context.Background(), f.Team, s.ID, sandbox.Pause{}) }()
	<-pausing
	require.NoError(t, f.Kill(t.Context(), f.Team, s.ID))
	close(killed)
	require.Equal(t, fault.NotFound, fault.CodeOf(<-paused))
	require.Equal(t, sandbox.Killed, f.Stored(t, s.ID).State)
	require.Empty(t, f.Agent.States())
}

func TestCreate_LeavesNothingWhenTheHostRefuses(t *testing.T) {
	t.Parallel()
	for code, want := range map[connect.Code]fault.Code{
		connect.CodeResourceExhausted: fault.Exhausted,
		connect.CodeUnavailable:       fault.Unavailable,
		connect.CodeNotFound:          fault.Unavailable,
		connect.CodeInternal:          fault.Internal,
	} {
		f := newFixture(t)
		f.Agent.Before(func(_ context.Context, operation, _ string) error {
			if operation == "create" {
				return connect.NewError(code, errors.New("refused"))
			}
			return nil
		})
		_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
		require.Equal(t, want, fault.CodeOf(err), "%v", err)
		f.requireNothing(t)
	}
}

func (f fixture) requireNothing(t *testing.T) {
	t.Helper()
	require.Empty(t, f.Agent.States())
	alive, err := rows.New(f.Pool).ListOnHost(t.Context(), rows.ListOnHostParams{HostID: f.Host})
	require.NoError(t, err)
	require.Empty(t, alive)
}

func TestCreate_LeavesNothingWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, leave := context.WithCancel(t.Context())
	f.Agent.Before(func(_ context.Context, operation, sandboxID string) error {
		if operation == "create" {
			// The host has created it, and the client has disconnected.
			f.Agent.Put(sandboxID, pb.SandboxState_SANDBOX_STATE_RUNNING)
			leave()
		}
		return nil
	})
	_, err := f.Create(ctx, f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.ErrorIs(t, err, context.Canceled)
	f.requireNothing(t)
}

func TestCreate_KillsTheMachineWhenItCannotBeRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Agent.Before(func(_ context.Context, operation, sandboxID string) error {
		if operation == "create" {
			f.Force(t, sandboxID, sandbox.Creating, 0) // as if another process had taken it over
		}
		return nil
	})
	_, err := f.Create(t.Context(), f.Team, sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.Error(t, err)
	require.Empty(t, f.Agent.States())
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	f.requireNothing(t)
}

func TestPause_ThatFailsLeavesTheSandboxRunning(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "pause" {
			return connect.NewError(connect.CodeInternal, errors.New("disk full"))
		}
		return nil
	})
	require.Equal(t, fault.Internal, fault.CodeOf(f.Pause(t.Context(), f.Team, s.ID, sandbox.Pause{})))
	require.Equal(t, sandbox.Running, f.Stored(t, s.ID).State)
}

func TestResume_ThatFindsNoRoomLeavesTheSandboxPaused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	require.NoError(t, f.Pause(t.Context(), f.Team, s.ID, sandbox.Pause{}))
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "resume" {
			return connect.NewError(connect.CodeResourceExhausted, errors.New("no memory"))
		}
		return nil
	})
	_, err := f.Resume(t.Context(), f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.Equal(t, sandbox.Paused, f.Stored(t, s.ID).State)
}

func TestResume_ThatOnlySeemsToFailIsASuccess(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	require.NoError(t, f.Pause(t.Context(), f.Team, s.ID, sandbox.Pause{}))
	f.Agent.Before(func(_ context.Context, operation, sandboxID string) error {
		if operation == "resume" {
			f.Agent.Put(sandboxID, pb.SandboxState_SANDBOX_STATE_RUNNING)
			return connect.NewError(connect.CodeUnavailable, errors.New("answer lost"))
		}
		return nil
	})
	_, err := f.Resume(t.Context(), f.Team, s.ID, sandboxes.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
	require.Equal(t, sandbox.Running, f.Stored(t, s.ID).State)
}

func TestKill_IsKeptWhenTheHostIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	f.Agent.Before(func(context.Context, string, string) error {
		return connect.NewError(connect.CodeUnavailable, errors.New("away"))
	})
	require.NoError(t, f.Kill(t.Context(), f.Team, s.ID))
	_, err := f.Get(t.Context(), f.Team, s.ID)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.Error(t, f.Service.Reconcile(t.Context(), f.Host), "the host is still away")
	f.Agent.Before(nil)
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, sandbox.Killed, f.Stored(t, s.ID).State)
	require.Empty(t, f.Agent.States())
}
