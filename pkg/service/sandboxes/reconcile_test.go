package sandboxes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/servicetest"
)

// Claimant 0 is a released claim, and 1 a process that has died: it holds no lock.
func TestReconcile_BringsTheDatabaseToTheHostsTruth(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alive := f.Claimant.ID()
	for name, test := range map[string]struct {
		stored   sandbox.State
		claimant int32
		seen     pb.SandboxState
		want     sandbox.State
	}{
		"ran on":                           {sandbox.Running, 0, servicetest.SeenRunning, sandbox.Running},
		"was paused by the host":           {sandbox.Running, 0, servicetest.SeenPaused, sandbox.Paused},
		"died":                             {sandbox.Running, 0, servicetest.SeenGone, sandbox.Killed},
		"is being paused by the host":      {sandbox.Running, 0, servicetest.SeenPausing, sandbox.Running},
		"stayed paused":                    {sandbox.Paused, 0, servicetest.SeenPaused, sandbox.Paused},
		"was resumed by the host":          {sandbox.Paused, 0, servicetest.SeenRunning, sandbox.Running},
		"paused, and lost":                 {sandbox.Paused, 0, servicetest.SeenGone, sandbox.Killed},
		"paused, and cannot be read":       {sandbox.Paused, 0, servicetest.SeenFailed, sandbox.Broken},
		"ran, and cannot be read":          {sandbox.Running, 0, servicetest.SeenFailed, sandbox.Broken},
		"cannot be read after a pause":     {sandbox.Pausing, 1, servicetest.SeenFailed, sandbox.Broken},
		"cannot be read after a resume":    {sandbox.Resuming, 1, servicetest.SeenFailed, sandbox.Broken},
		"still cannot be read":             {sandbox.Broken, 0, servicetest.SeenFailed, sandbox.Broken},
		"can be read again":                {sandbox.Broken, 0, servicetest.SeenPaused, sandbox.Paused},
		"was broken, and runs":             {sandbox.Broken, 0, servicetest.SeenRunning, sandbox.Running},
		"was broken, and is gone":          {sandbox.Broken, 0, servicetest.SeenGone, sandbox.Killed},
		"is broken, and claimed":           {sandbox.Resuming, alive, servicetest.SeenFailed, sandbox.Resuming},
		"pause was interrupted before":     {sandbox.Pausing, 1, servicetest.SeenRunning, sandbox.Running},
		"pause was interrupted after":      {sandbox.Pausing, 1, servicetest.SeenPaused, sandbox.Paused},
		"pause was interrupted by an end":  {sandbox.Pausing, 0, servicetest.SeenGone, sandbox.Killed},
		"resume was interrupted before":    {sandbox.Resuming, 1, servicetest.SeenPaused, sandbox.Paused},
		"resume was interrupted after":     {sandbox.Resuming, 1, servicetest.SeenRunning, sandbox.Running},
		"create was interrupted":           {sandbox.Creating, 1, servicetest.SeenRunning, sandbox.Failed},
		"create was interrupted before":    {sandbox.Creating, 1, servicetest.SeenGone, sandbox.Failed},
		"kill was interrupted":             {sandbox.Killing, 1, servicetest.SeenRunning, sandbox.Killed},
		"kill was interrupted after":       {sandbox.Killing, 0, servicetest.SeenGone, sandbox.Killed},
		"is being paused by a living one":  {sandbox.Pausing, alive, servicetest.SeenRunning, sandbox.Pausing},
		"is being resumed by a living one": {sandbox.Resuming, alive, servicetest.SeenPaused, sandbox.Resuming},
		"is being created by a living one": {sandbox.Creating, alive, servicetest.SeenGone, sandbox.Creating},
		"is being killed by a living one":  {sandbox.Killing, alive, servicetest.SeenRunning, sandbox.Killing},
		"was killed, and the host has it":  {sandbox.Killed, 0, servicetest.SeenRunning, sandbox.Killed},
		"never ran, and the host has it":   {sandbox.Failed, 0, servicetest.SeenPaused, sandbox.Failed},
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
			if now.State == sandbox.Running {
				require.True(t, now.EndAt.After(time.Now().Add(time.Minute)), "what runs has time left")
			}
			f.Force(t, s.ID, sandbox.Killed, 0)
			f.Agent.Put(s.ID, servicetest.SeenGone)
		})
	}
}

// numbered is a claimant without a lock.
type numbered int32

func (n numbered) ID() int32 { return int32(n) }

func TestReconcile_LeavesWhatThisProcessWorksOnWhileItsLockIsLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SetClaimant(numbered(7))
	s := f.Start(t)
	f.Force(t, s.ID, sandbox.Creating, 7)
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, sandbox.Creating, f.Stored(t, s.ID).State)
	f.SetClaimant(numbered(8))
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, sandbox.Failed, f.Stored(t, s.ID).State)
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
	require.Equal(t, sandbox.Running, f.Stored(t, s.ID).State)
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
		if err := f.Pause(ctx, f.Team, old.ID, sandbox.Pause{}); err != nil {
			return err
		}
		f.Start(t)
		return nil
	})
	require.NoError(t, f.Service.Reconcile(t.Context(), f.Host))
	require.Equal(t, sandbox.Paused, f.Stored(t, old.ID).State)
	require.Len(t, f.Agent.States(), 2)
}
