package scheduler

import (
	"slices"

	"github.com/google/uuid"
)

// wantedBy returns what a host must have.
func wantedBy(request Request) []feature {
	var builds []uuid.UUID
	if request.Build != uuid.Nil {
		builds = append(builds, request.Build)
	}
	return featuresOf(builds, request.Tags, request.Isolation)
}

func (e *entry) has(wanted []feature) bool {
	for _, f := range wanted {
		if _, has := e.features[f]; !has {
			return false
		}
	}
	return true
}

// choose returns the slot of the best host that is compared, or -1. If any host can have
// the sandbox it returns one.
func (s *Spread) choose(request Request, tried map[uuid.UUID]struct{}) int {
	wanted := wantedBy(request)
	suits := func(slot int) bool {
		e := s.hosts[slot]
		if _, again := tried[e.ID]; again || !e.has(wanted) {
			return false
		}
		return request.Group == "" || request.Rule != Apart || s.groups[request.Group][slot] == 0
	}
	if request.Host != uuid.Nil {
		slot, known := s.slots[request.Host]
		if !known {
			return -1
		}
		return s.bestOf([]int{slot}, request.Needs, suits)
	}
	if request.Rule == Together && request.Group != "" {
		if slot := s.bestOf(s.members(request.Group), request.Needs, suits); slot >= 0 {
			return slot
		}
	}
	if few := s.fewHaving(wanted); few != nil {
		return s.bestOf(few, request.Needs, suits)
	}
	return s.bestOfRandom(request.Needs, suits)
}

func (s *Spread) members(group string) []int {
	slots := make([]int, 0, len(s.groups[group]))
	for slot := range s.groups[group] {
		slots = append(slots, slot)
	}
	slices.Sort(slots)
	return slots
}

// fewHaving returns the hosts that can have the sandbox where they are few enough to
// compare each; else nil.
func (s *Spread) fewHaving(wanted []feature) []int {
	var few []int
	if len(s.hosts) <= lookAtAll {
		few = make([]int, 0, len(s.hosts))
		for slot := range s.hosts {
			few = append(few, slot)
		}
	}
	for _, f := range wanted {
		if having := s.having[f]; len(having) <= lookAtAll && (few == nil || len(having) < len(few)) {
			few = append([]int{}, having...)
		}
	}
	return few
}

// bestOf returns the best of some hosts. Of equals it is the first, so that the result
// does not depend on the order of Observe.
func (s *Spread) bestOf(slots []int, needs Resources, suits func(int) bool) int {
	best, bestShare := -1, 0.0
	for _, slot := range slots {
		if !needs.Fits(s.tree.most[s.tree.leaves+slot]) || !suits(slot) {
			continue
		}
		if share := s.share(slot, needs); best < 0 || share < bestShare {
			best, bestShare = slot, share
		}
	}
	return best
}

// bestOfRandom returns the best of the hosts with room that follow random slots.
func (s *Spread) bestOfRandom(needs Resources, suits func(int) bool) int {
	var candidates [choices]int
	for i := range candidates {
		from := s.random.IntN(len(s.hosts))
		slot := s.tree.next(from, needs, suits)
		if slot < 0 {
			slot = s.tree.next(0, needs, suits)
		}
		if slot < 0 {
			return -1
		}
		candidates[i] = slot
	}
	return s.bestOf(candidates[:], needs, suits)
}

// share returns how full the host's scarcest resource would be; 1 is full.
func (s *Spread) share(slot int, needs Resources) float64 {
	e := s.hosts[slot]
	after := e.Allocated.Plus(needs)
	return max(ratio(after.VCPUs, e.Capacity.VCPUs), ratio(after.MemoryMiB, e.Capacity.MemoryMiB), ratio(after.DiskMiB, e.Capacity.DiskMiB))
}

func ratio(part, whole int64) float64 {
	if whole <= 0 {
		return 0 // only what needs nothing of it gets here
	}
	return float64(part) / float64(whole)
}
