package network

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReady_FollowsDemandWithinBounds(t *testing.T) {
	ready, now := newReady(), time.Now()
	require.Equal(t, fewestReady, ready.wanted(now))
	for range 20 {
		ready.count(now)
	}
	require.Equal(t, 20, ready.wanted(now))
	require.Equal(t, fewestReady, ready.wanted(now.Add(demandMemory)))
	for range 1000 {
		ready.count(now)
	}
	require.Equal(t, mostReady, ready.wanted(now))
}

func TestPool_MakesMoreSlotsAheadWhenManyAreTaken(t *testing.T) {
	pool := newTestPool(t, t.TempDir())
	defer func() { require.NoError(t, pool.Close()) }()
	for range 2 * fewestReady {
		pool.Release(acquire(t, pool))
	}
	require.Eventually(t, func() bool { return len(pool.ready.slots) > fewestReady }, patience, time.Millisecond)
}

func TestPool_GivesNoAddressAgainAtOnce(t *testing.T) {
	pool := newTestPool(t, t.TempDir())
	defer func() { require.NoError(t, pool.Close()) }()
	seen := map[int]bool{}
	for range 3 * fewestReady {
		slot := acquire(t, pool)
		require.False(t, seen[slot.index], "slot %d rests", slot.index)
		seen[slot.index] = true
		device := device(t, slot)
		pool.Release(slot)
		require.Eventually(t, func() bool { return !pool.isTaken(slot.index) }, patience, time.Millisecond)
		requireGone(t, device)
	}
}

// TestPool_RecoversFromAFailure takes away where slots are recorded, and brings it
// back.
func TestPool_RecoversFromAFailure(t *testing.T) {
	stateDir := t.TempDir()
	pool := newTestPool(t, stateDir)
	defer func() { require.NoError(t, pool.Close()) }()
	require.NoError(t, os.Rename(stateDir, stateDir+".away"))
	var slots []*Slot
	var err error
	for err == nil {
		var slot *Slot
		began := time.Now()
		slot, err = pool.Acquire(timeout(t, patience), true)
		require.Less(t, time.Since(began), 2*failurePatience, "callers that wait get the error soon")
		slots = append(slots, slot)
	}
	require.ErrorIs(t, err, ErrNoSlots)
	require.ErrorIs(t, err, os.ErrNotExist, "and why")
	require.NotErrorIs(t, err, context.DeadlineExceeded)

	require.NoError(t, os.Rename(stateDir+".away", stateDir))
	require.Eventually(t, func() bool {
		slot, err := pool.Acquire(t.Context(), true)
		if err == nil {
			slots = append(slots, slot)
		}
		return err == nil
	}, 2*longestRest, time.Millisecond)
	for range 2 * fewestReady {
		slots = append(slots, acquire(t, pool))
	}
	for _, slot := range slots {
		if slot != nil {
			pool.Release(slot)
		}
	}
}

func TestReady_LeavesTheMachineToWhoHasJustTakenASlot(t *testing.T) {
	t.Parallel()
	ready, now := newReady(), time.Now()
	ready.count(now)
	for _, test := range []struct {
		count  int
		after  time.Duration
		enough bool
		again  time.Duration
	}{
		{fewestReady, 0, true, tidyEvery},
		{fewestReady - 1, 0, true, calm},
		{fewestReady / 2, calm / 2, true, calm / 2},
		{fewestReady/2 - 1, 0, false, 0},
		{fewestReady - 1, calm, false, 0},
	} {
		enough, again := ready.suffices(test.count, now.Add(test.after))
		require.Equal(t, test.enough, enough, "%d slots after %s", test.count, test.after)
		require.Equal(t, test.again, again)
	}
}
