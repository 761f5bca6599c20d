package sandbox

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// still is a machine that is held.
type still struct {
	vmm.Machine
	done chan struct{}
}

func (s *still) Done() <-chan struct{} { return s.done }

// pool is one of a template that was asked for so often lately, with some clones
// of so many bytes each.
func pool(budget int64, asked, held int, each int64) (*warmPool, *snapshot.Snapshot) {
	template := &snapshot.Snapshot{Manifest: snapshot.Manifest{BuildID: "template"}}
	m := &Manager{templates: map[string]*snapshot.Snapshot{"template": template}}
	p := &warmPool{manager: m, budget: budget, clones: map[string][]*clone{}, demands: map[string]demand{}}
	p.demands["template"] = demand{weight: float64(asked), at: time.Now()}
	for range held {
		s := &sandbox{guest: &guest{machine: &still{done: make(chan struct{})}}}
		p.clones["template"] = append(p.clones["template"], &clone{sandbox: s, memoryBytes: each})
	}
	return p, template
}

func TestWarmPool_FollowsDemandWithinItsBudget(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	for name, test := range map[string]struct {
		budget      int64
		asked, held int
		each        int64
		limit, want int
	}{
		"nobody asks: one for whom nobody expects": {1 << 30, 0, 0, 0, 8, 1},
		"and no more":                        {1 << 30, 0, 1, 40 * mebibyte, 8, 0},
		"many ask":                           {1 << 30, 20, 1, 40 * mebibyte, 8, 4},
		"a few at a time":                    {1 << 30, 20, 1, 40 * mebibyte, 2, 2},
		"the budget has room for one more":   {100 * mebibyte, 20, 1, 40 * mebibyte, 8, 1},
		"the budget is used up":              {70 * mebibyte, 20, 1, 40 * mebibyte, 8, 0},
		"no budget for the first":            {10 * mebibyte, 20, 0, 0, 8, 0},
		"clones that take more than thought": {1 << 30, 100, 2, 400 * mebibyte, 8, 0},
	} {
		p, template := pool(test.budget, test.asked, test.held, test.each)
		wanted := p.shortage(test.limit)
		require.Len(t, wanted, test.want, name)
		for _, base := range wanted {
			require.Same(t, template, base)
		}
	}
	p, _ := pool(1<<30, 20, 0, 0)
	p.closed = true
	require.Empty(t, p.shortage(8))
}

func TestWarmPool_GivesUpTheDeadAndWhatDemandNoLongerAsksFor(t *testing.T) {
	t.Parallel()
	p, _ := pool(1<<30, 0, 5, 1<<20)
	all := slices.Clone(p.clones["template"])
	machine, ok := all[4].guest.machine.(*still)
	require.True(t, ok)
	close(machine.done)
	surplus := p.takeSurplus()
	require.ElementsMatch(t, []*clone{all[4], all[0], all[1]}, surplus, "the dead, and the oldest")
	require.Equal(t, []*clone{all[2], all[3]}, p.clones["template"], "some more than needed: demand comes in waves")
	require.Empty(t, p.takeSurplus())
}
