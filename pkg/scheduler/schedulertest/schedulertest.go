// Package schedulertest tests that a scheduler keeps the contract of
// scheduler.Scheduler. A scheduler of an edition's own calls Run in a test.
package schedulertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

var (
	build = uuid.MustParse("b0000000-0000-0000-0000-000000000000")
	other = uuid.MustParse("b1000000-0000-0000-0000-000000000000")
	small = scheduler.Resources{VCPUs: 1, MemoryMiB: 512, DiskMiB: 1024}
)

// Run tests schedulers that newScheduler makes, each of which knows of no host yet. It is
// worth the most with the race detector.
func Run(t *testing.T, newScheduler func() scheduler.Scheduler) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, scheduler.Scheduler){
		"without hosts it says that there are none":        withoutHosts,
		"it proposes only hosts that suit":                 onlySuitable,
		"it says how many hosts suit":                      saysHowManySuit,
		"it goes on to each other host when room is taken": goesOn,
		"it ends with the error of a reservation":          endsWithError,
		"it knows only the hosts that it observed last":    observesAnew,
		"it counts what it has placed until the next look": countsPlaced,
		"it keeps a group apart":                           keepsApart,
		"it keeps a group together while there is room":    keepsTogether,
		"it gives reserve the context of the placement":    passesContext,
		"it is safe for concurrent use":                    isConcurrent,
		"it leaves its arguments as they are":              leavesArguments,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newScheduler())
		})
	}
}

// hostNumber has room for a number of small sandboxes, and the build.
func hostNumber(n, room int) scheduler.Host {
	return scheduler.Host{
		ID:       uuid.MustParse(fmt.Sprintf("a0000000-0000-0000-0000-%012d", n)),
		Capacity: scheduler.Resources{VCPUs: small.VCPUs * int64(room), MemoryMiB: small.MemoryMiB * int64(room), DiskMiB: small.DiskMiB * int64(room)},
		Builds:   []uuid.UUID{build},
	}
}

func fleetOf(hosts, room int) []scheduler.Host {
	fleet := make([]scheduler.Host, hosts)
	for n := range fleet {
		fleet[n] = hostNumber(n, room)
	}
	return fleet
}

// proposals refuses every host and returns all that were proposed.
func proposals(t *testing.T, s scheduler.Scheduler, request scheduler.Request) (proposed []uuid.UUID, err error) {
	t.Helper()
	_, err = s.Place(t.Context(), request, func(_ context.Context, hostID uuid.UUID) error {
		proposed = append(proposed, hostID)
		return scheduler.ErrTaken
	})
	return proposed, err
}

func accept(context.Context, uuid.UUID) error { return nil }

func requireNoRoom(t *testing.T, err error, hosts, suited int) {
	t.Helper()
	var none *scheduler.NoRoomError
	require.ErrorAs(t, err, &none)
	require.Equal(t, scheduler.NoRoomError{Hosts: hosts, Suited: suited}, *none)
}

func withoutHosts(t *testing.T, s scheduler.Scheduler) {
	proposed, err := proposals(t, s, scheduler.Request{Needs: small})
	requireNoRoom(t, err, 0, 0)
	require.Empty(t, proposed)
}

func onlySuitable(t *testing.T, s scheduler.Scheduler) {
	plain, tagged, full, without := hostNumber(1, 2), hostNumber(2, 2), hostNumber(3, 2), hostNumber(4, 2)
	tagged.Tags = []string{"gpu", "fast"}
	plain.Isolation, tagged.Isolation = sandbox.VM, sandbox.GVisor
	full.Allocated = full.Capacity
	without.Builds = []uuid.UUID{other}
	hosts := []scheduler.Host{plain, tagged, full, without}
	for name, test := range map[string]struct {
		request scheduler.Request
		want    []scheduler.Host
	}{
		"anything":        {scheduler.Request{}, hosts},
		"room":            {scheduler.Request{Needs: small}, []scheduler.Host{plain, tagged, without}},
		"a build":         {scheduler.Request{Needs: small, Build: build}, []scheduler.Host{plain, tagged}},
		"a tag":           {scheduler.Request{Needs: small, Tags: []string{"gpu"}}, []scheduler.Host{tagged}},
		"two tags":        {scheduler.Request{Needs: small, Tags: []string{"fast", "gpu"}}, []scheduler.Host{tagged}},
		"no such tags":    {scheduler.Request{Needs: small, Tags: []string{"gpu", "slow"}}, nil},
		"a VM":            {scheduler.Request{Needs: small, Isolation: sandbox.VM}, []scheduler.Host{plain}},
		"gVisor":          {scheduler.Request{Needs: small, Isolation: sandbox.GVisor}, []scheduler.Host{tagged}},
		"a VM and a tag":  {scheduler.Request{Needs: small, Isolation: sandbox.VM, Tags: []string{"gpu"}}, nil},
		"one host":        {scheduler.Request{Needs: small, Host: plain.ID}, []scheduler.Host{plain}},
		"a full host":     {scheduler.Request{Needs: small, Host: full.ID}, nil},
		"a host to avoid": {scheduler.Request{Needs: small, Avoid: []uuid.UUID{plain.ID}}, []scheduler.Host{tagged, without}},
	} {
		s.Observe(slices.Clone(hosts))
		proposed, err := proposals(t, s, test.request)
		var none *scheduler.NoRoomError
		require.ErrorAs(t, err, &none, name)
		wanted := []uuid.UUID{}
		for _, host := range test.want {
			wanted = append(wanted, host.ID)
		}
		require.ElementsMatch(t, wanted, proposed, "%s: each host that suits is proposed, once, and no other", name)
	}
}

func saysHowManySuit(t *testing.T, s scheduler.Scheduler) {
	hosts := fleetOf(3, 1)
	hosts[0].Tags = []string{"gpu"}
	hosts[1].Tags, hosts[1].Allocated = []string{"gpu"}, hosts[1].Capacity
	s.Observe(hosts)
	_, err := s.Place(t.Context(), scheduler.Request{Needs: small, Tags: []string{"tpu"}}, accept)
	requireNoRoom(t, err, 3, 0)
	_, err = s.Place(t.Context(), scheduler.Request{Needs: small.Plus(small), Tags: []string{"gpu"}}, accept)
	requireNoRoom(t, err, 3, 2)
}

func goesOn(t *testing.T, s scheduler.Scheduler) {
	s.Observe(fleetOf(5, 1))
	var tried []uuid.UUID
	placed, err := s.Place(t.Context(), scheduler.Request{Needs: small}, func(_ context.Context, hostID uuid.UUID) error {
		tried = append(tried, hostID)
		if len(tried) < 5 {
			return fmt.Errorf("host %s: %w", hostID, scheduler.ErrTaken)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, tried[4], placed)
	slices.SortFunc(tried, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	require.Len(t, slices.Compact(tried), 5, "no host is tried twice")
}

func endsWithError(t *testing.T, s scheduler.Scheduler) {
	s.Observe(fleetOf(5, 1))
	refusal, calls := errors.New("over the limit"), 0
	_, err := s.Place(t.Context(), scheduler.Request{Needs: small}, func(context.Context, uuid.UUID) error {
		calls++
		return refusal
	})
	require.ErrorIs(t, err, refusal)
	require.Equal(t, 1, calls)
	proposed, _ := proposals(t, s, scheduler.Request{Needs: small})
	require.Len(t, proposed, 5, "the room that was not reserved is free")
}

func observesAnew(t *testing.T, s scheduler.Scheduler) {
	s.Observe(fleetOf(3, 1))
	s.Observe([]scheduler.Host{hostNumber(7, 1)})
	proposed, err := proposals(t, s, scheduler.Request{Needs: small})
	requireNoRoom(t, err, 1, 1)
	require.Equal(t, []uuid.UUID{hostNumber(7, 1).ID}, proposed)
	s.Observe(nil)
	_, err = s.Place(t.Context(), scheduler.Request{}, accept)
	requireNoRoom(t, err, 0, 0)
}

func countsPlaced(t *testing.T, s scheduler.Scheduler) {
	s.Observe(fleetOf(2, 2))
	counts := map[uuid.UUID]int{}
	for range 4 {
		hostID, err := s.Place(t.Context(), scheduler.Request{Needs: small}, accept)
		require.NoError(t, err)
		counts[hostID]++
	}
	require.Equal(t, map[uuid.UUID]int{hostNumber(0, 2).ID: 2, hostNumber(1, 2).ID: 2}, counts)
	_, err := s.Place(t.Context(), scheduler.Request{Needs: small}, accept)
	requireNoRoom(t, err, 2, 2)
}

func keepsApart(t *testing.T, s scheduler.Scheduler) {
	hosts := fleetOf(3, 5)
	hosts[0].Groups = map[string]int{"db": 1}
	s.Observe(hosts)
	apart := scheduler.Request{Needs: small, Group: "db", Rule: scheduler.Apart}
	proposed, _ := proposals(t, s, apart)
	require.ElementsMatch(t, []uuid.UUID{hosts[1].ID, hosts[2].ID}, proposed)
	for range 2 {
		_, err := s.Place(t.Context(), apart, accept)
		require.NoError(t, err)
	}
	var none *scheduler.NoRoomError
	_, err := s.Place(t.Context(), apart, accept)
	require.ErrorAs(t, err, &none)
	_, err = s.Place(t.Context(), scheduler.Request{Needs: small, Group: "web", Rule: scheduler.Apart}, accept)
	require.NoError(t, err, "another group")
}

func keepsTogether(t *testing.T, s scheduler.Scheduler) {
	hosts := fleetOf(3, 2)
	hosts[2].Groups, hosts[2].Allocated = map[string]int{"db": 1}, small
	s.Observe(hosts)
	together := scheduler.Request{Needs: small, Group: "db", Rule: scheduler.Together}
	placed, err := s.Place(t.Context(), together, accept)
	require.NoError(t, err)
	require.Equal(t, hosts[2].ID, placed)
	placed, err = s.Place(t.Context(), together, accept)
	require.NoError(t, err, "its host is full")
	require.NotEqual(t, hosts[2].ID, placed)
}

type key struct{}

func passesContext(t *testing.T, s scheduler.Scheduler) {
	s.Observe(fleetOf(1, 1))
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "a request's"), time.Minute)
	defer cancel()
	_, err := s.Place(ctx, scheduler.Request{}, func(ctx context.Context, _ uuid.UUID) error {
		require.Equal(t, "a request's", ctx.Value(key{}))
		_, ends := ctx.Deadline()
		require.True(t, ends)
		return nil
	})
	require.NoError(t, err)
}

func isConcurrent(t *testing.T, s scheduler.Scheduler) {
	const hosts, room = 8, 5
	s.Observe(fleetOf(hosts, room))
	var running sync.WaitGroup
	var mutex sync.Mutex
	counts, refused := map[uuid.UUID]int{}, 0
	for range 10 {
		running.Go(func() {
			for range 5 {
				hostID, err := s.Place(context.Background(), scheduler.Request{Needs: small}, accept)
				mutex.Lock()
				if err == nil {
					counts[hostID]++
				} else {
					refused++
				}
				mutex.Unlock()
			}
		})
	}
	running.Wait()
	require.Equal(t, 50-hosts*room, refused)
	for hostID, count := range counts {
		require.Equal(t, room, count, "host %s", hostID)
	}
	running.Go(func() { s.Observe(fleetOf(hosts, room)) })
	running.Go(func() { _, _ = s.Place(context.Background(), scheduler.Request{Needs: small}, accept) })
	running.Wait()
}

func leavesArguments(t *testing.T, s scheduler.Scheduler) {
	hosts := fleetOf(3, 1)
	hosts[0].Tags, hosts[0].Groups = []string{"b", "a"}, map[string]int{"db": 1}
	request := scheduler.Request{Needs: small, Tags: []string{"b", "a"}, Avoid: []uuid.UUID{hosts[2].ID, hosts[1].ID}, Group: "db"}
	s.Observe(hosts)
	_, err := s.Place(t.Context(), request, accept)
	require.NoError(t, err)
	wanted := fleetOf(3, 1)
	wanted[0].Tags, wanted[0].Groups = []string{"b", "a"}, map[string]int{"db": 1}
	require.Equal(t, wanted, hosts)
	require.Equal(t, []string{"b", "a"}, request.Tags)
	require.Equal(t, []uuid.UUID{hosts[2].ID, hosts[1].ID}, request.Avoid)
}
