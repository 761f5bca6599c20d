package boot_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
)

var errBroken = errors.New("broken")

// journal writes down what steps do and undo.
type journal []string

func (j *journal) step(s *boot.Sequence, name string) boot.Step {
	return boot.Step{Name: name, Do: func(context.Context) error {
		*j = append(*j, name)
		s.OnStop("undo "+name, func(context.Context) error { *j = append(*j, "undo "+name); return nil })
		return nil
	}}
}

func failing(name string, err error) boot.Step {
	return boot.Step{Name: name, Do: func(context.Context) error { return err }}
}

func TestRun_StopsInReverseOrderWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var done journal
	err := boot.Run(ctx, func(ctx context.Context, s *boot.Sequence) error {
		defer cancel()
		return s.Start(ctx, done.step(s, "database"), done.step(s, "server"))
	})
	require.NoError(t, err)
	require.Equal(t, journal{"database", "server", "undo server", "undo database"}, done)
}

func TestRun_UndoesTheStepsBeforeOneThatFails(t *testing.T) {
	t.Parallel()
	var done journal
	err := boot.Run(t.Context(), func(ctx context.Context, s *boot.Sequence) error {
		return s.Start(ctx, done.step(s, "database"), failing("listen", errBroken), done.step(s, "server"))
	})
	require.ErrorIs(t, err, errBroken)
	require.EqualError(t, err, "listen: broken")
	require.Equal(t, journal{"database", "undo database"}, done)
}

func TestRun_DoesNotBeginAStepOfACancelledStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var done journal
	err := boot.Run(ctx, func(ctx context.Context, s *boot.Sequence) error {
		err := s.Start(ctx, done.step(s, "database"),
			boot.Step{Name: "interrupt", Do: func(context.Context) error { cancel(); return nil }}, done.step(s, "server"))
		require.EqualError(t, err, "server: context canceled")
		return err
	})
	require.NoError(t, err)
	require.Equal(t, journal{"database", "undo database"}, done)
}

func TestRun_ReturnsTheFailureOfAStepThatACancelledStartIsIn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := boot.Run(ctx, func(ctx context.Context, s *boot.Sequence) error {
		cancel()
		return s.Step(context.WithoutCancel(ctx), "listen", func(context.Context) error { return errBroken })
	})
	require.EqualError(t, err, "listen: broken")
}

func TestRun_StopsWithAContextThatHasNotEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, boot.Run(ctx, func(_ context.Context, s *boot.Sequence) error {
		s.OnStop("check", func(ctx context.Context) error { return ctx.Err() })
		cancel()
		return nil
	}))
}

func TestStop_GoesOnAfterAnErrorAndReturnsAll(t *testing.T) {
	t.Parallel()
	s, _ := boot.New(t.Context())
	for _, name := range []string{"close the database", "close the server"} {
		s.OnStop(name, func(context.Context) error { return errBroken })
	}
	require.EqualError(t, s.Stop(t.Context()), "close the server: broken\nclose the database: broken")
	require.NoError(t, s.Stop(t.Context()), "a second call finds nothing to undo")
}

func TestServe_EndsTheRunWithTheFirstFailure(t *testing.T) {
	t.Parallel()
	var done journal
	err := boot.Run(t.Context(), func(ctx context.Context, s *boot.Sequence) error {
		if err := s.Start(ctx, done.step(s, "database")); err != nil {
			return err
		}
		s.Serve("serve", func(context.Context) error { return errBroken })
		return nil
	})
	require.EqualError(t, err, "serve: broken", "it is returned once")
	require.Equal(t, journal{"database", "undo database"}, done)
}

func TestServe_CancelsAStartUnderWayWhenItFails(t *testing.T) {
	t.Parallel()
	err := boot.Run(t.Context(), func(ctx context.Context, s *boot.Sequence) error {
		s.Serve("serve", func(context.Context) error { return errBroken })
		return s.Step(ctx, "wait", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	})
	require.EqualError(t, err, "serve: broken")
}

func TestServe_ReturnsWhatFailsWhileItStops(t *testing.T) {
	t.Parallel()
	s, _ := boot.New(t.Context())
	s.Serve("serve", func(ctx context.Context) error { <-ctx.Done(); return errBroken })
	s.Serve("watch", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	require.EqualError(t, s.Stop(t.Context()), "serve: broken", "to be cancelled is no failure")
}

func TestBackground_RunsUntilItsTurnAndIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var done journal
		ctx, cancel := context.WithCancel(t.Context())
		s, _ := boot.New(ctx)
		s.Background("follow", func(ctx context.Context) {
			<-ctx.Done()
			<-time.After(time.Second) // its last work
			done = append(done, "followed")
		})
		s.OnStop("drain", func(context.Context) error {
			<-time.After(time.Second)
			done = append(done, "drained")
			return nil
		})
		cancel() // of the run: the work goes on until its turn
		require.NoError(t, s.Stop(t.Context()))
		require.Equal(t, journal{"drained", "followed"}, done)
	})
}
