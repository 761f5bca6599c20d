package service_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

const (
	seenRunning = pb.SandboxState_SANDBOX_STATE_RUNNING
	seenPaused  = pb.SandboxState_SANDBOX_STATE_PAUSED
	seenPausing = pb.SandboxState_SANDBOX_STATE_PAUSING
	seenFailed  = pb.SandboxState_SANDBOX_STATE_FAILED
	seenGone    = pb.SandboxState_SANDBOX_STATE_GONE
)

// A claimant of 0 has let go, one of 1 has died: nobody holds its lock.
func TestReconcile_BringsTheDatabaseToTheHostsTruth(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alive := f.Claimant.ID()
	for name, test := range map[string]struct {
		stored   lifecycle.State
		claimant int32
		seen     pb.SandboxState
		want     lifecycle.State
	}{
		"ran on":                           {lifecycle.Running, 0, seenRunning, lifecycle.Running},
		"was paused by the host":           {lifecycle.Running, 0, seenPaused, lifecycle.Paused},
		"died":                             {lifecycle.Running, 0, seenGone, lifecycle.Killed},
		"is being paused by the host":      {lifecycle.Running, 0, seenPausing, lifecycle.Running},
		"stayed paused":                    {lifecycle.Paused, 0, seenPaused, lifecycle.Paused},
		"was resumed by the host":          {lifecycle.Paused, 0, seenRunning, lifecycle.Running},
		"paused, and lost":                 {lifecycle.Paused, 0, seenGone, lifecycle.Killed},
		"paused, and cannot be read":       {lifecycle.Paused, 0, seenFailed, lifecycle.Broken},
		"ran, and cannot be read":          {lifecycle.Running, 0, seenFailed, lifecycle.Broken},
		"cannot be read after a pause":     {lifecycle.Pausing, 1, seenFailed, lifecycle.Broken},
		"cannot be read after a resume":    {lifecycle.Resuming, 1, seenFailed, lifecycle.Broken},
		"still cannot be read":             {lifecycle.Broken, 0, seenFailed, lifecycle.Broken},
		"can be read again":                {lifecycle.Broken, 0, seenPaused, lifecycle.Paused},
		"was broken, and runs":             {lifecycle.Broken, 0, seenRunning, lifecycle.Running},
		"was broken, and is gone":          {lifecycle.Broken, 0, seenGone, lifecycle.Killed},
		"is broken, and somebody works":    {lifecycle.Resuming, alive, seenFailed, lifecycle.Resuming},
		"pause was interrupted before":     {lifecycle.Pausing, 1, seenRunning, lifecycle.Running},
		"pause was interrupted after":      {lifecycle.Pausing, 1, seenPaused, lifecycle.Paused},
		"pause was interrupted by an end":  {lifecycle.Pausing, 0, seenGone, lifecycle.Killed},
		"resume was interrupted before":    {lifecycle.Resuming, 1, seenPaused, lifecycle.Paused},
		"resume was interrupted after":     {lifecycle.Resuming, 1, seenRunning, lifecycle.Running},
		"create was interrupted":           {lifecycle.Creating, 1, seenRunning, lifecycle.Failed},
		"create was interrupted before":    {lifecycle.Creating, 1, seenGone, lifecycle.Failed},
		"kill was interrupted":             {lifecycle.Killing, 1, seenRunning, lifecycle.Killed},
		"kill was interrupted after":       {lifecycle.Killing, 0, seenGone, lifecycle.Killed},
		"is being paused by a living one":  {lifecycle.Pausing, alive, seenRunning, lifecycle.Pausing},
		"is being resumed by a living one": {lifecycle.Resuming, alive, seenPaused, lifecycle.Resuming},
		"is being created by a living one": {lifecycle.Creating, alive, seenGone, lifecycle.Creating},
		"is being killed by a living one":  {lifecycle.Killing, alive, seenRunning, lifecycle.Killing},
		"was killed, and the host has it":  {lifecycle.Killed, 0, seenRunning, lifecycle.Killed},
		"never ran, and the host has it":   {lifecycle.Failed, 0, seenPaused, lifecycle.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.create(t)
			f.force(t, s.ID, test.stored, test.claimant)
			f.agent.Put(s.ID, test.seen)
			require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
			now := f.stored(t, s.ID)
			require.Equal(t, test.want, now.State)
			_, onHost := f.agent.States()[s.ID]
			if now.State.Over() {
				require.False(t, onHost, "what is over must not run on")
			}
			if now.State == lifecycle.Running {
				require.True(t, now.EndAt.After(time.Now().Add(time.Minute)), "what runs has time left")
			}
			f.force(t, s.ID, lifecycle.Killed, 0)
			f.agent.Put(s.ID, seenGone)
		})
	}
}

// numbered claims under a number whose lock nobody holds.
type numbered int32

func (n numbered) ID() int32 { return int32(n) }

func TestReconcile_LeavesWhatThisProcessWorksOnWhileItsLockIsLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Claimant = numbered(7)
	s := f.create(t)
	f.force(t, s.ID, lifecycle.Creating, 7)
	require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	require.Equal(t, lifecycle.Creating, f.stored(t, s.ID).State)
	f.Claimant = numbered(8)
	require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	require.Equal(t, lifecycle.Failed, f.stored(t, s.ID).State)
}

func TestReconcile_ChangesNothingWhenTheHostIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.create(t)
	f.agent.Put(s.ID, seenGone)
	f.agent.Before(func(context.Context, string, string) error {
		return connect.NewError(connect.CodeUnavailable, errors.New("away"))
	})
	require.Error(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	require.Equal(t, lifecycle.Running, f.stored(t, s.ID).State)
}

func TestReconcile_LeavesWhatItNeverKnewAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.agent.Put("istrangeristranger12", seenRunning)
	require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	require.Len(t, f.agent.States(), 1)
}

func TestReconcile_DoesNotEndWhatWasCreatedWhileItLooked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.create(t)
	f.agent.Before(func(ctx context.Context, operation, _ string) error {
		if operation != "list" {
			return nil
		}
		f.agent.Before(nil)
		if err := f.Pause(ctx, f.team, old.ID, service.PauseRequest{}); err != nil {
			return err
		}
		f.create(t)
		return nil
	})
	require.NoError(t, f.Sandboxes.Reconcile(t.Context(), f.host))
	require.Equal(t, lifecycle.Paused, f.stored(t, old.ID).State)
	require.Len(t, f.agent.States(), 2)
}

func TestHostSync_NoticesAChangeAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.sync.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	s := f.create(t)
	f.agent.Put(s.ID, seenPaused)
	require.Eventually(t, func() bool { return f.stored(t, s.ID).State == lifecycle.Paused }, patience, 20*time.Millisecond)
}
