package sandbox

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func TestTransitions_AreTheseAndNoOthers(t *testing.T) {
	all := []State{Creating, Running, Pausing, Paused, Resuming, Snapshotting, Updating, Killing, Gone, Failed}
	allowed := map[[2]State]bool{
		{Creating, Running}: true, {Creating, Killing}: true,
		{Running, Pausing}: true, {Running, Killing}: true,
		{Pausing, Paused}: true, {Pausing, Running}: true, {Pausing, Failed}: true,
		{Paused, Resuming}: true, {Paused, Killing}: true,
		{Resuming, Running}: true, {Resuming, Paused}: true, {Resuming, Failed}: true,
		{Running, Snapshotting}: true, {Snapshotting, Running}: true, {Snapshotting, Paused}: true, {Snapshotting, Failed}: true,
		{Running, Updating}: true, {Updating, Running}: true,
		{Failed, Pausing}: true, {Failed, Killing}: true, {Killing, Gone}: true,
	}
	for _, from := range all {
		for _, to := range all {
			require.Equal(t, allowed[[2]State{from, to}], from.canBecome(to), "%s to %s", from, to)
		}
	}
}

func TestTransitions_EverySettledStateCanBeKilled(t *testing.T) {
	for state := range transitions {
		if state.settled() && state != Gone {
			require.True(t, state.canBecome(Killing), "%s", state)
		}
	}
}

func TestBegin_RefusesASecondOperation(t *testing.T) {
	s := &sandbox{id: "i0000000000000000001", record: record{State: Paused}}
	_, op, err := s.begin(t.Context(), Resuming, "resume")
	require.NoError(t, err)
	_, _, err = s.begin(t.Context(), Resuming, "resume")
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, Resuming, conflict.State)
	op.step(Paused, "")
	_, _, err = s.begin(t.Context(), Resuming, "resume")
	require.NoError(t, err)
}

func TestInterrupt_CancelsTheOperationAndWaitsForIt(t *testing.T) {
	s := &sandbox{id: "i0000000000000000001", record: record{State: Paused}}
	ctx, op, err := s.begin(context.Background(), Resuming, "resume")
	require.NoError(t, err)
	rolledBack := make(chan struct{})
	go func() {
		<-ctx.Done()
		close(rolledBack)
		op.step(Paused, "")
	}()
	require.NoError(t, s.interrupt(t.Context()))
	select {
	case <-rolledBack:
	default:
		t.Fatal("interrupt came back before the operation had ended")
	}
	require.Equal(t, Paused, s.info().State)
}

func TestRecord_SurvivesSaveAndLoad(t *testing.T) {
	directory := t.TempDir()
	want := record{
		BuildID: "b", State: Paused, VCPUCount: 1, MemoryMiB: 512, DiskMiB: 4096, EnvdVersion: "0.6.4", Snapshot: "snapshot-1",
		RequestID: "r", running: running{Process: vmm.Process{ID: 7, Start: 9}, Slot: "wrenn-3", Secret: "t", LifecycleID: "l"},
	}
	require.NoError(t, want.save(directory))
	got, err := loadRecord(directory)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestBeginSettled_WaitsForTheOperationUnderWay(t *testing.T) {
	var m Manager
	s := &sandbox{id: "i0000000000000000001", record: record{State: Running}}
	_, op, err := s.begin(t.Context(), Snapshotting, "be snapshotted")
	require.NoError(t, err)
	begun := make(chan error, 1)
	go func() {
		_, pause, err := m.beginSettled(t.Context(), t.Context(), s, Pausing, "pause")
		if err == nil {
			pause.step(Paused, "")
		}
		begun <- err
	}()
	require.Empty(t, begun)
	s.guest = &guest{slot: &network.Slot{}}
	op.step(Running, "")
	require.NoError(t, <-begun)
	require.Equal(t, Paused, s.info().State)
	_, _, err = m.beginSettled(t.Context(), t.Context(), s, Pausing, "pause")
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.False(t, conflict.Busy(), "to wait would not help")
}

func TestBeginSettled_EndsWithItsClientTheManagerAndTheSandbox(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(m *Manager, s *sandbox, op *operation, leave func())
		want error
	}{
		"client leaves": {func(_ *Manager, _ *sandbox, _ *operation, leave func()) { leave() }, context.Canceled},
		"manager ends": {func(m *Manager, _ *sandbox, op *operation, _ func()) {
			m.closed.Store(true)
			op.step(Paused, "")
		}, ErrClosed},
		"killed": {func(_ *Manager, s *sandbox, op *operation, _ func()) {
			s.doom()
			op.step(Paused, "")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var m Manager
			s := &sandbox{id: "i0000000000000000001", record: record{State: Running}}
			_, op, err := s.begin(t.Context(), Pausing, "pause")
			require.NoError(t, err)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			begun := make(chan error, 1)
			go func() {
				_, _, err := m.beginSettled(ctx, ctx, s, Resuming, "resume")
				begun <- err
			}()
			test.end(&m, s, op, leave)
			err = <-begun
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
				return
			}
			var conflict *ConflictError
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, Killing, conflict.State)
		})
	}
}
