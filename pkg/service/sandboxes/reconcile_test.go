package sandboxes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
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
		"ran on":                           {lifecycle.Running, 0, servicetest.SeenRunning, lifecycle.Running},
		"was paused by the host":           {lifecycle.Running, 0, servicetest.SeenPaused, lifecycle.Paused},
		"died":                             {lifecycle.Running, 0, servicetest.SeenGone, lifecycle.Killed},
		"is being paused by the host":      {lifecycle.Running, 0, servicetest.SeenPausing, lifecycle.Running},
		"stayed paused":                    {lifecycle.Paused, 0, servicetest.SeenPaused, lifecycle.Paused},
		"was resumed by the host":          {lifecycle.Paused, 0, servicetest.SeenRunning, lifecycle.Running},
		"paused, and lost":                 {lifecycle.Paused, 0, servicetest.SeenGone, lifecycle.Killed},
		"paused, and cannot be read":       {lifecycle.Paused, 0, servicetest.SeenFailed, lifecycle.Broken},
		"ran, and cannot be read":          {lifecycle.Running, 0, servicetest.SeenFailed, lifecycle.Broken},
		"cannot be read after a pause":     {lifecycle.Pausing, 1, servicetest.SeenFailed, lifecycle.Broken},
		"cannot be read after a resume":    {lifecycle.Resuming, 1, servicetest.SeenFailed, lifecycle.Broken},
		"still cannot be read":             {lifecycle.Broken, 0, servicetest.SeenFailed, lifecycle.Broken},
		"can be read again":                {lifecycle.Broken, 0, servicetest.SeenPaused, lifecycle.Paused},
		"was broken, and runs":             {lifecycle.Broken, 0, servicetest.SeenRunning, lifecycle.Running},
		"was broken, and is gone":          {lifecycle.Broken, 0, servicetest.SeenGone, lifecycle.Killed},
		"is broken, and somebody works":    {lifecycle.Resuming, alive, servicetest.SeenFailed, lifecycle.Resuming},
		"pause was interrupted before":     {lifecycle.Pausing, 1, servicetest.SeenRunning, lifecycle.Running},
		"pause was interrupted after":      {lifecycle.Pausing, 1, servicetest.SeenPaused, lifecycle.Paused},
		"pause was interrupted by an end":  {lifecycle.Pausing, 0, servicetest.SeenGone, lifecycle.Killed},
		"resume was interrupted before":    {lifecycle.Resuming, 1, servicetest.SeenPaused, lifecycle.Paused},
		"resume was interrupted after":     {lifecycle.Resuming, 1, servicetest.SeenRunning, lifecycle.Running},
		"create was interrupted":           {lifecycle.Creating, 1, servicetest.SeenRunning, lifecycle.Failed},
		"create was interrupted before":    {lifecycle.Creating, 1, servicetest.SeenGone, lifecycle.Failed},
		"kill was interrupted":             {lifecycle.Killing, 1, servicetest.SeenRunning, lifecycle.Killed},
		"kill was interrupted after":       {lifecycle.Killing, 0, servicetest.SeenGone, lifecycle.Killed},
		"is being paused by a living one":  {lifecycle.Pausing, alive, servicetest.SeenRunning, lifecycle.Pausing},
		"is being resumed by a living one": {lifecycle.Resuming, alive, servicetest.SeenPaused, lifecycle.Resuming},
		"is being created by a living one": {lifecycle.Creating, alive, servicetest.SeenGone, lifecycle.Creating},
		"is being killed by a living one":  {lifecycle.Killing, alive, servicetest.SeenRunning, lifecycle.Killing},
		"was killed, and the host has it":  {lifecycle.Killed, 0, servicetest.SeenRunning, lifecycle.Killed},
		"never ran, and the host has it":   {lifecycle.Failed, 0, servicetest.SeenPaused, lifecycle.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.Start(t)
			f.Force(t, s.ID, test.stored, test.claimant)
			f.Agent.Put(s.ID, test.seen)
			require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
			now := f.Stored(t, s.ID)
			require.Equal(t, test.want, now.State)
			_, onHost := f.Agent.States()[s.ID]
			if now.State.Over() {
				require.False(t, onHost, "what is over must not run on")
			}
			if now.State == lifecycle.Running {
				require.True(t, now.EndAt.After(time.Now().Add(time.Minute)), "what runs has time left")
			}
			f.Force(t, s.ID, lifecycle.Killed, 0)
			f.Agent.Put(s.ID, servicetest.SeenGone)
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
	s := f.Start(t)
	f.Force(t, s.ID, lifecycle.Creating, 7)
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, lifecycle.Creating, f.Stored(t, s.ID).State)
	f.Claimant = numbered(8)
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, lifecycle.Failed, f.Stored(t, s.ID).State)
}

func TestReconcile_ChangesNothingWhenTheHostIsAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.Start(t)
	f.Agent.Put(s.ID, servicetest.SeenGone)
	f.Agent.Before(func(context.Context, string, string) error {
		return connect.NewError(connect.CodeUnavailable, errors.New("away"))
	})
	require.Error(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, lifecycle.Running, f.Stored(t, s.ID).State)
}

func TestReconcile_LeavesWhatItNeverKnewAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Agent.Put("istrangeristranger12", servicetest.SeenRunning)
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Len(t, f.Agent.States(), 1)
}

func TestReconcile_DoesNotEndWhatWasCreatedWhileItLooked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.Start(t)
	f.Agent.Before(func(ctx context.Context, operation, _ string) error {
		if operation != "list" {
			return nil
		}
		f.Agent.Before(nil)
		if err := f.Pause(ctx, f.Team, old.ID, sandboxes.PauseRequest{}); err != nil {
			return err
		}
		f.Start(t)
		return nil
	})
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, lifecycle.Paused, f.Stored(t, old.ID).State)
	require.Len(t, f.Agent.States(), 2)
}
