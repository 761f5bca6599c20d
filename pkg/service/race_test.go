package service_test

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
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

// together runs an operation in many goroutines at once and counts what the
// service answered to each.
func together(operation func() error) map[fault.Code]int {
	const many = 8
	answers := map[fault.Code]int{}
	var mutex sync.Mutex
	var running sync.WaitGroup
	for range many {
		running.Go(func() {
			code := fault.CodeOf(operation())
			mutex.Lock()
			defer mutex.Unlock()
			answers[code]++
		})
	}
	running.Wait()
	return answers
}

func TestOperations_AnyMixEndsInAgreementWithTheHost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	for range 5 {
		s := f.create(t)
		var running sync.WaitGroup
		for worker := range 6 {
			running.Go(func() {
				random := rand.New(rand.NewPCG(uint64(worker), 1)) //nolint:gosec // a test's dice
				for range 8 {
					switch random.IntN(20) {
					case 0:
						_ = f.Kill(ctx, f.team, s.ID)
					case 1, 2, 3, 4, 5, 6:
						_ = f.Pause(ctx, f.team, s.ID, service.PauseRequest{})
					case 7, 8, 9, 10, 11, 12:
						_, _ = f.Resume(ctx, f.team, s.ID, service.ResumeRequest{TimeoutSeconds: 60})
					case 13, 14, 15:
						_ = f.Sandboxes.Reconcile(ctx, f.host)
					case 16, 17:
						_ = f.SetTimeout(ctx, f.team, s.ID, 60)
					default:
						_, _, _ = f.Connect(ctx, f.team, s.ID, service.ResumeRequest{TimeoutSeconds: 60})
					}
				}
			})
		}
		running.Wait()
		state := f.stored(t, s.ID).State
		seen, exists := f.agent.States()[s.ID]
		switch state {
		case lifecycle.Running:
			require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, seen)
		case lifecycle.Paused:
			require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, seen)
		default:
			require.Equal(t, lifecycle.Killed, state)
			require.False(t, exists)
		}
	}
}

func TestKill_WinsOverAPauseUnderWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.create(t)
	pausing, killed := make(chan struct{}), make(chan struct{})
	f.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "pause" {
			close(pausing)
			<-killed
		}
		return nil
	})
	paused := make(chan error, 1)
	go func() { paused <- f.Pause(context.Background(), f.team, s.ID, service.PauseRequest{}) }()
	<-pausing
	require.NoError(t, f.Kill(t.Context(), f.team, s.ID))
	close(killed)
	require.Equal(t, fault.NotFound, fault.CodeOf(<-paused))
	require.Equal(t, lifecycle.Killed, f.stored(t, s.ID).State)
	require.Empty(t, f.agent.States())
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
		f.agent.Before(func(_ context.Context, operation, _ string) error {
			if operation == "create" {
				return connect.NewError(code, errors.New("refused"))
			}
			return nil
		})
		_, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60})
		require.Equal(t, want, fault.CodeOf(err), "%v", err)
		f.requireNothing(t)
	}
}

func (f *fixture) requireNothing(t *testing.T) {
	t.Helper()
	require.Empty(t, f.agent.States())
	alive, err := f.Queries.ListOnHost(t.Context(), rows.ListOnHostParams{HostID: f.host})
	require.NoError(t, err)
	require.Empty(t, alive)
}

func TestCreate_LeavesNothingWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, leave := context.WithCancel(t.Context())
	f.agent.Before(func(_ context.Context, operation, sandboxID string) error {
		if operation == "create" {
			// The host has made it, and its answer finds nobody.
			f.agent.Put(sandboxID, pb.SandboxState_SANDBOX_STATE_RUNNING)
			leave()
		}
		return nil
	})
	_, err := f.Create(ctx, f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.ErrorIs(t, err, context.Canceled)
	f.requireNothing(t)
}

func TestCreate_KillsTheMachineWhenItCannotBeRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.agent.Before(func(_ context.Context, operation, sandboxID string) error {
		if operation == "create" {
			f.force(t, sandboxID, lifecycle.Creating, 0) // as if another had taken it over
		}
		return nil
	})
	_, err := f.Create(t.Context(), f.team, service.NewSandbox{Template: "base", TimeoutSeconds: 60})
	require.Error(t, err)
	require.Empty(t, f.agent.States())
	require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	f.requireNothing(t)
}

func TestPause_ThatFailsLeavesTheSandboxRunning(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.create(t)
	f.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "pause" {
			return connect.NewError(connect.CodeInternal, errors.New("disk full"))
		}
		return nil
	})
	require.Equal(t, fault.Internal, fault.CodeOf(f.Pause(t.Context(), f.team, s.ID, service.PauseRequest{})))
	require.Equal(t, lifecycle.Running, f.stored(t, s.ID).State)
}

func TestResume_ThatFindsNoRoomLeavesTheSandboxPaused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.create(t)
	require.NoError(t, f.Pause(t.Context(), f.team, s.ID, service.PauseRequest{}))
	f.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "resume" {
			return connect.NewError(connect.CodeResourceExhausted, errors.New("no memory"))
		}
		return nil
	})
	_, err := f.Resume(t.Context(), f.team, s.ID, service.ResumeRequest{TimeoutSeconds: 60})
	require.Equal(t, fault.Exhausted, fault.CodeOf(err))
	require.Equal(t, lifecycle.Paused, f.stored(t, s.ID).State)
}

func TestResume_ThatOnlySeemsToFailIsASuccess(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.create(t)
	require.NoError(t, f.Pause(t.Context(), f.team, s.ID, service.PauseRequest{}))
	f.agent.Before(func(_ context.Context, operation, sandboxID string) error {
		if operation == "resume" {
			f.agent.Put(sandboxID, pb.SandboxState_SANDBOX_STATE_RUNNING)
			return connect.NewError(connect.CodeUnavailable, errors.New("answer lost"))
		}
		return nil
	})
	_, err := f.Resume(t.Context(), f.team, s.ID, service.ResumeRequest{TimeoutSeconds: 60})
	require.NoError(t, err)
	require.Equal(t, lifecycle.Running, f.stored(t, s.ID).State)
}

func TestKill_IsKeptWhenTheHostIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.create(t)
	f.agent.Before(func(context.Context, string, string) error {
		return connect.NewError(connect.CodeUnavailable, errors.New("away"))
	})
	require.NoError(t, f.Kill(t.Context(), f.team, s.ID))
	_, err := f.Get(t.Context(), f.team, s.ID)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.Error(t, f.Sandboxes.Reconcile(t.Context(), f.host), "the host is still away")
	f.agent.Before(nil)
	require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	require.Equal(t, lifecycle.Killed, f.stored(t, s.ID).State)
	require.Empty(t, f.agent.States())
}
