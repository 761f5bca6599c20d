package scheduler

import "math/bits"

// tree finds hosts with room: a complete binary tree over all hosts, where each
// node has the most that any host below it has free, kind by kind. A search skips
// every subtree in which nothing can fit.
type tree struct {
	leaves int // a power of two
	most   []Resources
}

// nothing has no room for any request, not even for an empty one.
var nothing = Resources{VCPUs: -1, MemoryMiB: -1, DiskMiB: -1}

func newTree(free []Resources) *tree {
	leaves := 1 << bits.Len(uint(max(len(free), 1)-1))
	t := &tree{leaves: leaves, most: make([]Resources, 2*leaves)}
	for i := range t.most {
		t.most[i] = nothing
	}
	copy(t.most[leaves:], free)
	for node := leaves - 1; node > 0; node-- {
		t.most[node] = most(t.most[2*node], t.most[2*node+1])
	}
	return t
}

func most(a, b Resources) Resources {
	return Resources{max(a.VCPUs, b.VCPUs), max(a.MemoryMiB, b.MemoryMiB), max(a.DiskMiB, b.DiskMiB)}
}

// set stores what a host has free.
func (t *tree) set(slot int, free Resources) {
	node := t.leaves + slot
	t.most[node] = free
	for node /= 2; node > 0; node /= 2 {
		t.most[node] = most(t.most[2*node], t.most[2*node+1])
	}
}

// next returns the first slot, beginning with from, that has room and suits, or -1.
func (t *tree) next(from int, needs Resources, suits func(slot int) bool) int {
	return t.search(1, 0, t.leaves, from, needs, suits)
}

// search is next for the slots from low up to high, which are below a node.
func (t *tree) search(node, low, high, from int, needs Resources, suits func(slot int) bool) int {
	if high <= from || !needs.Fits(t.most[node]) {
		return -1
	}
	if high-low == 1 {
		if suits(low) {
			return low
		}
		return -1
	}
	middle := (low + high) / 2
	if found := t.search(2*node, low, middle, from, needs, suits); found >= 0 {
		return found
	}
	return t.search(2*node+1, middle, high, from, needs, suits)
}
