package scheduler_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

var (
	builds = []uuid.UUID{{0: 1}, {0: 2}, {0: 3}}
	tags   = []string{"gpu", "fast", "eu"}
	groups = []string{"", "red", "blue"}

	isolations = append([]sandbox.Isolation{""}, sandbox.Isolations()...)
)

func someOf[T comparable](values []T) *rapid.Generator[[]T] {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(values), 0, len(values), rapid.ID)
}

func drawResources(t *rapid.T, name string, least, most int) scheduler.Resources {
	number := func(kind string) int64 { return int64(rapid.IntRange(least, most).Draw(t, name+kind)) }
	return scheduler.Resources{VCPUs: number("CPU"), MemoryMiB: number("memory"), DiskMiB: number("disk")}
}

// drawHosts makes fleets below and above the size up to which every host is compared.
func drawHosts(t *rapid.T) []scheduler.Host {
	hosts := make([]scheduler.Host, rapid.SampledFrom([]int{0, 1, 5, 33, 100}).Draw(t, "hosts"))
	for n := range hosts {
		hosts[n] = hostNumber(n, drawResources(t, "capacity", 0, 10))
		hosts[n].Builds = someOf(builds).Draw(t, "builds")
		hosts[n].Tags = someOf(tags).Draw(t, "tags")
		hosts[n].Isolation = rapid.SampledFrom(isolations).Draw(t, "isolation")
	}
	return hosts
}

func drawRequest(t *rapid.T) scheduler.Request {
	return scheduler.Request{
		Needs: drawResources(t, "needs", 0, 4),
		Build: rapid.SampledFrom(append([]uuid.UUID{uuid.Nil}, builds...)).Draw(t, "build"),
		Tags:  someOf(tags[:2]).Draw(t, "wanted tags"),
		Group: rapid.SampledFrom(groups).Draw(t, "group"),

		Isolation: rapid.SampledFrom(isolations).Draw(t, "wanted isolation"),

		Rule: rapid.SampledFrom([]scheduler.Rule{scheduler.Anywhere, scheduler.Apart, scheduler.Together}).Draw(t, "rule"),
	}
}

// ledger is a simple model of what is placed where.
type ledger struct {
	hosts  map[uuid.UUID]*scheduler.Host
	placed []placed
}

type placed struct {
	hostID  uuid.UUID
	request scheduler.Request
}

func (l *ledger) feasible(host *scheduler.Host, request scheduler.Request) bool {
	free := host.Capacity
	for _, p := range l.placed {
		if p.hostID == host.ID {
			free = free.Minus(p.request.Needs)
			if request.Rule == scheduler.Apart && request.Group != "" && p.request.Group == request.Group {
				return false
			}
		}
	}
	for _, tag := range request.Tags {
		if !slices.Contains(host.Tags, tag) {
			return false
		}
	}
	if request.Isolation != "" && host.Isolation != request.Isolation {
		return false
	}
	return request.Needs.Fits(free) && (request.Build == uuid.Nil || slices.Contains(host.Builds, request.Build))
}

func (l *ledger) anyFeasible(request scheduler.Request) bool {
	for _, host := range l.hosts {
		if l.feasible(host, request) {
			return true
		}
	}
	return false
}

// A placement succeeds exactly where a host is feasible by the model: within its capacity,
// with the tags, the build and the isolation, and with the group's rule.
func TestPlace_FindsAHostExactlyWhenThereIsOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hosts := drawHosts(t)
		s := newSpread(rapid.Uint64().Draw(t, "seed"))
		s.Observe(hosts)
		l := &ledger{hosts: map[uuid.UUID]*scheduler.Host{}}
		for n := range hosts {
			l.hosts[hosts[n].ID] = &hosts[n]
		}
		t.Repeat(map[string]func(*rapid.T){
			"place": func(t *rapid.T) {
				request := drawRequest(t)
				hostID, err := s.Place(context.Background(), request, yes)
				var none *scheduler.NoRoomError
				switch {
				case err == nil && !l.feasible(l.hosts[hostID], request):
					t.Fatalf("%v was placed on %v, where it must not be", request, l.hosts[hostID])
				case err == nil:
					l.placed = append(l.placed, placed{hostID, request})
				case !errors.As(err, &none):
					t.Fatal(err)
				case l.anyFeasible(request):
					t.Fatalf("%v found no host though there is one", request)
				}
			},
			"release": func(t *rapid.T) {
				if len(l.placed) == 0 {
					t.Skip("nothing is placed")
				}
				which := rapid.IntRange(0, len(l.placed)-1).Draw(t, "which")
				s.Release(l.placed[which].hostID, l.placed[which].request)
				l.placed = slices.Delete(l.placed, which, which+1)
			},
		})
	})
}

func TestPlace_DoesNotDependOnTheOrderInWhichHostsAreKnown(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hosts := drawHosts(t)
		seed := rapid.Uint64().Draw(t, "seed")
		requests := rapid.SliceOfN(rapid.Custom(drawRequest), 1, 20).Draw(t, "requests")
		answers := func(hosts []scheduler.Host) string {
			s := newSpread(seed)
			s.Observe(hosts)
			var all string
			for _, request := range requests {
				hostID, err := s.Place(context.Background(), request, yes)
				all += fmt.Sprintln(hostID, err)
			}
			return all
		}
		if one, other := answers(hosts), answers(rapid.Permutation(hosts).Draw(t, "permuted")); one != other {
			t.Fatalf("in one order:\n%sin another:\n%s", one, other)
		}
	})
}
