package upkeep

import (
	"context"
	"iter"
	"log/slog"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeSandbox notes what the guard does with it.
type fakeSandbox struct {
	Sandbox
	held, runs bool
	written    uint64
	freeBytes  uint64
}

func (f *fakeSandbox) Held() (held, runs bool)             { return f.held, f.runs }
func (f *fakeSandbox) WrittenSince(time.Time) uint64       { return f.written }
func (f *fakeSandbox) Hold(_ context.Context, free uint64) { f.held, f.freeBytes = true, free }
func (f *fakeSandbox) Unhold(context.Context)              { f.held = false }

func sequence(all ...Sandbox) iter.Seq[Sandbox] { return slices.Values(all) }

func TestDiskGuard_HoldsOnlyGuestsThatRunAndWrite(t *testing.T) {
	t.Parallel()
	full := DiskGuard{ReserveBytes: math.MaxUint64, Directories: []string{t.TempDir()}, Log: slog.New(slog.DiscardHandler)}
	writer := &fakeSandbox{runs: true, written: writingBytes + 1}
	idle := &fakeSandbox{runs: true, written: writingBytes}
	paused := &fakeSandbox{written: writingBytes + 1}
	full.check(t.Context(), sequence(writer, idle, paused))
	require.True(t, writer.held)
	require.Positive(t, writer.freeBytes)
	require.False(t, idle.held)
	require.False(t, paused.held)

	full.check(t.Context(), sequence(writer))
	require.True(t, writer.held, "there is no more room than before")
	roomy := full
	roomy.ReserveBytes = 4
	roomy.check(t.Context(), sequence(writer))
	require.False(t, writer.held)
}

func TestDiskGuard_DoesNothingWithoutAReserveOrAMeasurement(t *testing.T) {
	t.Parallel()
	writer := &fakeSandbox{runs: true, written: writingBytes + 1}
	DiskGuard{}.check(t.Context(), sequence(writer))
	require.False(t, writer.held)
	DiskGuard{ReserveBytes: math.MaxUint64, Directories: []string{"/nowhere/at/all"}, Log: slog.New(slog.DiscardHandler)}.check(t.Context(), sequence(writer))
	require.False(t, writer.held)
}

func TestBackoff_DoublesUpToAMinute(t *testing.T) {
	t.Parallel()
	var b Backoff
	require.True(t, b.IsDue())
	for _, seconds := range []int{2, 4, 8, 16, 32, 60, 60} {
		b.Failed()
		require.False(t, b.IsDue())
		require.WithinDuration(t, time.Now().Add(time.Duration(seconds)*time.Second), b.next, time.Second)
	}
}
