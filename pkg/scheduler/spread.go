package scheduler

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

const (
	// choices is how many hosts with room are compared in a large fleet. With more than
	// one, the fullest host stays near the average.
	choices = 3
	// lookAtAll is the largest fleet of which all hosts are compared.
	lookAtAll = 32
	// maxProposals bounds how many hosts one placement proposes.
	maxProposals = 32
)

// Spread is the default scheduler: it keeps hosts equally full. Among all hosts
// of a small fleet, or some random ones of a large, it takes the one whose
// scarcest resource stays the most plentiful.
type Spread struct {
	mutex  sync.Mutex
	random *rand.Rand
	hosts  []*entry
	slots  map[uuid.UUID]int
	tree   *tree
	// having lists the hosts with a build, a tag or an isolation.
	having map[feature][]int
	groups map[string]map[int]int // by group and slot
}

// entry is a host in the index.
type entry struct {
	Host
	features map[feature]struct{}
}

// feature is a build, a tag or an isolation.
type feature struct {
	build     uuid.UUID
	tag       string
	isolation sandbox.Isolation
}

// NewSpread makes a scheduler without hosts. random must not be used by others.
func NewSpread(random *rand.Rand) *Spread {
	s := &Spread{random: random}
	s.Observe(nil)
	return s
}

// Observe implements Scheduler. It takes time in proportion to the fleet.
func (s *Spread) Observe(hosts []Host) {
	hosts = slices.SortedFunc(slices.Values(hosts), func(a, b Host) int { return slices.Compare(a.ID[:], b.ID[:]) })
	index := &Spread{slots: map[uuid.UUID]int{}, having: map[feature][]int{}, groups: map[string]map[int]int{}}
	free := make([]Resources, 0, len(hosts))
	for slot, host := range hosts {
		e := &entry{Host: host, features: map[feature]struct{}{}}
		for _, f := range featuresOf(host.Builds, host.Tags, host.Isolation) {
			if _, twice := e.features[f]; !twice {
				e.features[f] = struct{}{}
				index.having[f] = append(index.having[f], slot)
			}
		}
		for group, members := range host.Groups {
			index.join(group, slot, members)
		}
		index.hosts = append(index.hosts, e)
		index.slots[host.ID] = slot
		free = append(free, host.Capacity.Minus(host.Allocated))
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.hosts, s.slots, s.having, s.groups, s.tree = index.hosts, index.slots, index.having, index.groups, newTree(free)
}

func featuresOf(builds []uuid.UUID, tags []string, isolation sandbox.Isolation) []feature {
	features := make([]feature, 0, len(builds)+len(tags)+1)
	if isolation != "" {
		features = append(features, feature{isolation: isolation})
	}
	for _, build := range builds {
		features = append(features, feature{build: build})
	}
	for _, tag := range tags {
		features = append(features, feature{tag: tag})
	}
	return features
}

// join adds to the number of a group's members on a host; members may be negative.
func (s *Spread) join(group string, slot, members int) {
	if group == "" {
		return
	}
	if s.groups[group] == nil {
		s.groups[group] = map[int]int{}
	}
	s.groups[group][slot] += members
	if s.groups[group][slot] <= 0 {
		delete(s.groups[group], slot)
	}
	if len(s.groups[group]) == 0 {
		delete(s.groups, group)
	}
}

// Place implements Scheduler. Without contention it takes time in proportion to
// the logarithm of the fleet.
func (s *Spread) Place(ctx context.Context, request Request, reserve Reserve) (uuid.UUID, error) {
	tried := map[uuid.UUID]struct{}{}
	for _, hostID := range request.Avoid {
		tried[hostID] = struct{}{}
	}
	for range maxProposals {
		hostID, err := s.take(request, tried)
		if err != nil {
			return uuid.Nil, err
		}
		err = reserve(ctx, hostID)
		if err == nil {
			return hostID, nil
		}
		s.Release(hostID, request)
		if !errors.Is(err, ErrTaken) {
			return uuid.Nil, err
		}
		tried[hostID] = struct{}{}
	}
	return uuid.Nil, fmt.Errorf("%d hosts were tried: %w", maxProposals, &NoRoomError{Hosts: len(tried), Suited: len(tried)})
}

// take chooses a host and counts the sandbox on it at once, so that concurrent
// placements propose other room.
func (s *Spread) take(request Request, tried map[uuid.UUID]struct{}) (uuid.UUID, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	slot := s.choose(request, tried)
	if slot < 0 {
		return uuid.Nil, s.noRoom(request)
	}
	s.hold(slot, request.Needs)
	s.join(request.Group, slot, 1)
	return s.hosts[slot].ID, nil
}

// Release undoes what Place has counted for a sandbox. The next Observe does so too.
func (s *Spread) Release(hostID uuid.UUID, request Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	slot, known := s.slots[hostID]
	if !known {
		return
	}
	s.hold(slot, Resources{}.Minus(request.Needs))
	s.join(request.Group, slot, -1)
}

func (s *Spread) hold(slot int, amount Resources) {
	e := s.hosts[slot]
	e.Allocated = e.Allocated.Plus(amount)
	s.tree.set(slot, e.Capacity.Minus(e.Allocated))
}

func (s *Spread) noRoom(request Request) *NoRoomError {
	suited := 0
	for _, e := range s.hosts {
		if e.has(wantedBy(request)) && (request.Host == uuid.Nil || request.Host == e.ID) {
			suited++
		}
	}
	return &NoRoomError{Hosts: len(s.hosts), Suited: suited}
}
