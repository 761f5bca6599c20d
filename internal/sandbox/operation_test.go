package sandbox

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// idle is a host that does nothing.
func idle() *host {
	return newHost("/nowhere", guest.NewHost(guest.Config{}), slog.New(slog.DiscardHandler))
}

func TestBegin_RefusesASecondOperation(t *testing.T) {
	s := &sandbox{id: "i0000000000000000001", host: idle(), record: record.Record{State: state.Paused}}
	_, op, err := s.begin(t.Context(), state.Resuming, "resume")
	require.NoError(t, err)
	_, _, err = s.begin(t.Context(), state.Resuming, "resume")
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, state.Resuming, conflict.State)
	op.step(state.Paused, "")
	_, _, err = s.begin(t.Context(), state.Resuming, "resume")
	require.NoError(t, err)
}

func TestInterrupt_CancelsTheOperationAndWaitsForIt(t *testing.T) {
	s := &sandbox{id: "i0000000000000000001", host: idle(), record: record.Record{State: state.Paused}}
	ctx, op, err := s.begin(context.Background(), state.Resuming, "resume")
	require.NoError(t, err)
	rolledBack := make(chan struct{})
	go func() {
		<-ctx.Done()
		close(rolledBack)
		op.step(state.Paused, "")
	}()
	require.NoError(t, s.interrupt(t.Context()))
	select {
	case <-rolledBack:
	default:
		t.Fatal("interrupt came back before the operation had ended")
	}
	require.Equal(t, state.Paused, s.info().State)
}

func TestBeginSettled_WaitsForTheOperationUnderWay(t *testing.T) {
	s := &sandbox{id: "i0000000000000000001", host: idle(), record: record.Record{State: state.Running}}
	_, op, err := s.begin(t.Context(), state.Snapshotting, "be snapshotted")
	require.NoError(t, err)
	begun := make(chan error, 1)
	go func() {
		_, pause, err := s.beginSettled(t.Context(), t.Context(), state.Pausing, "pause")
		if err == nil {
			pause.step(state.Paused, "")
		}
		begun <- err
	}()
	require.Empty(t, begun)
	s.guest = guest.New(guest.Spec{}, nil, &network.Slot{}, nil)
	op.step(state.Running, "")
	require.NoError(t, <-begun)
	require.Equal(t, state.Paused, s.info().State)
	_, _, err = s.beginSettled(t.Context(), t.Context(), state.Pausing, "pause")
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.False(t, conflict.Busy(), "waiting would not help")
}

func TestBeginSettled_EndsWithItsClientTheManagerAndTheSandbox(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(s *sandbox, op *operation, leave func())
		want error
	}{
		"client leaves": {func(_ *sandbox, _ *operation, leave func()) { leave() }, context.Canceled},
		"the host is closed": {func(s *sandbox, op *operation, _ func()) {
			s.host.closed.Store(true)
			op.step(state.Paused, "")
		}, ErrClosed},
		"killed": {func(s *sandbox, op *operation, _ func()) {
			s.doom()
			op.step(state.Paused, "")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sandbox{id: "i0000000000000000001", host: idle(), record: record.Record{State: state.Running}}
			_, op, err := s.begin(t.Context(), state.Pausing, "pause")
			require.NoError(t, err)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			begun := make(chan error, 1)
			go func() {
				_, _, err := s.beginSettled(ctx, ctx, state.Resuming, "resume")
				begun <- err
			}()
			test.end(s, op, leave)
			err = <-begun
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
				return
			}
			var conflict *ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, state.Killing, conflict.State)
		})
	}
}
