package scheduler_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

var small = scheduler.Resources{VCPUs: 1, MemoryMiB: 512, DiskMiB: 1024}

func newSpread(seed uint64) *scheduler.Spread {
	return scheduler.NewSpread(rand.New(rand.NewPCG(seed, 1))) //nolint:gosec // a test's dice
}

// hostNumber is a host with an ID of its own.
func hostNumber(n int, capacity scheduler.Resources) scheduler.Host {
	id := uuid.UUID{14: byte(n >> 8), 15: byte(n)}
	return scheduler.Host{ID: id, Capacity: capacity}
}

func yes(context.Context, uuid.UUID) error { return nil }

func TestPlace_TakesTheHostThatStaysTheEmptiest(t *testing.T) {
	t.Parallel()
	full, empty := hostNumber(1, scheduler.Resources{VCPUs: 8, MemoryMiB: 8192, DiskMiB: 65536}), hostNumber(2, scheduler.Resources{VCPUs: 8, MemoryMiB: 8192, DiskMiB: 65536})
	full.Allocated = small
	s := newSpread(1)
	s.Observe([]scheduler.Host{full, empty})
	placed, err := s.Place(t.Context(), scheduler.Request{Needs: small}, yes)
	require.NoError(t, err)
	require.Equal(t, empty.ID, placed)
}

func TestPlace_GoesOnToTheNextHostWhenTheRoomIsTaken(t *testing.T) {
	t.Parallel()
	s := newSpread(1)
	capacity := scheduler.Resources{VCPUs: 2, MemoryMiB: 2048, DiskMiB: 65536}
	s.Observe([]scheduler.Host{hostNumber(1, capacity), hostNumber(2, capacity), hostNumber(3, capacity)})
	var proposed []uuid.UUID
	_, err := s.Place(t.Context(), scheduler.Request{Needs: small}, func(_ context.Context, hostID uuid.UUID) error {
		proposed = append(proposed, hostID)
		return scheduler.ErrTaken
	})
	var full *scheduler.NoRoomError
	require.ErrorAs(t, err, &full)
	require.ElementsMatch(t, []uuid.UUID{{15: 1}, {15: 2}, {15: 3}}, proposed, "each is proposed once")
	// What was refused holds nothing.
	for range 6 {
		_, err := s.Place(t.Context(), scheduler.Request{Needs: small}, yes)
		require.NoError(t, err)
	}
	_, err = s.Place(t.Context(), scheduler.Request{Needs: small}, yes)
	require.ErrorAs(t, err, &full)
}

func TestPlace_EndsWithTheErrorOfTheReservation(t *testing.T) {
	t.Parallel()
	s := newSpread(1)
	s.Observe([]scheduler.Host{hostNumber(1, small)})
	away := errors.New("database is away")
	_, err := s.Place(t.Context(), scheduler.Request{Needs: small}, func(context.Context, uuid.UUID) error { return away })
	require.ErrorIs(t, err, away)
	_, err = s.Place(t.Context(), scheduler.Request{Needs: small}, yes)
	require.NoError(t, err, "the room is free again")
}

func TestPlace_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSpread(1)
	_, err := s.Place(t.Context(), scheduler.Request{Needs: small}, yes)
	require.EqualError(t, err, "no host is ready")
	s.Observe([]scheduler.Host{hostNumber(1, small)})
	_, err = s.Place(t.Context(), scheduler.Request{Needs: small, Tags: []string{"gpu"}}, yes)
	require.EqualError(t, err, "none of 1 hosts has the template, the tags and the isolation that are asked for")
	_, err = s.Place(t.Context(), scheduler.Request{Needs: small.Plus(small)}, yes)
	require.EqualError(t, err, "none of 1 hosts that could have it has room")
}

func TestPlace_KeepsAGroupTogetherWhileThereIsRoom(t *testing.T) {
	t.Parallel()
	s := newSpread(1)
	s.Observe([]scheduler.Host{hostNumber(1, small.Plus(small)), hostNumber(2, small.Plus(small))})
	request := scheduler.Request{Needs: small, Group: "g", Rule: scheduler.Together}
	var hosts []uuid.UUID
	for range 3 {
		placed, err := s.Place(t.Context(), request, yes)
		require.NoError(t, err)
		hosts = append(hosts, placed)
	}
	require.Equal(t, hosts[0], hosts[1])
	require.NotEqual(t, hosts[0], hosts[2])
}

func TestPlace_ByManyAtOncePromisesNothingTwice(t *testing.T) {
	t.Parallel()
	s := newSpread(1)
	const hosts, each = 100, 7
	var all []scheduler.Host
	for n := range hosts {
		all = append(all, hostNumber(n, scheduler.Resources{VCPUs: each, MemoryMiB: each * small.MemoryMiB, DiskMiB: each * small.DiskMiB}))
	}
	s.Observe(all)
	var mutex sync.Mutex
	placed := map[uuid.UUID]int{}
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for {
				hostID, err := s.Place(context.Background(), scheduler.Request{Needs: small}, yes)
				if err != nil {
					return
				}
				mutex.Lock()
				placed[hostID]++
				mutex.Unlock()
			}
		})
	}
	running.Wait()
	require.Len(t, placed, hosts, "every host is found")
	for _, count := range placed {
		require.Equal(t, each, count)
	}
}

func TestPlace_TakesTheOneHostThatIsAskedForOrNone(t *testing.T) {
	t.Parallel()
	for _, fleet := range []int{3, 300} {
		s := newSpread(1)
		var hosts []scheduler.Host
		for n := range fleet {
			hosts = append(hosts, hostNumber(n+1, scheduler.Resources{VCPUs: 2, MemoryMiB: 2048, DiskMiB: 65536}))
		}
		s.Observe(hosts)
		request := scheduler.Request{Needs: small, Host: hosts[1].ID}
		for range 2 {
			placed, err := s.Place(t.Context(), request, yes)
			require.NoError(t, err)
			require.Equal(t, hosts[1].ID, placed)
		}
		var none *scheduler.NoRoomError
		_, err := s.Place(t.Context(), request, yes)
		require.ErrorAs(t, err, &none)
		require.Equal(t, 1, none.Suited)
		request.Host = uuid.New()
		_, err = s.Place(t.Context(), request, yes)
		require.ErrorAs(t, err, &none)
		require.Zero(t, none.Suited)
	}
}
