package warm

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// one is a host with one template.
type one struct{ *snapshot.Snapshot }

func (o one) Templates() []*snapshot.Snapshot         { return []*snapshot.Snapshot{o.Snapshot} }
func (o one) IsTemplate(base *snapshot.Snapshot) bool { return base == o.Snapshot }

// poolWith is the pool of a template with recent creates, and clones that use so many
// bytes each.
func poolWith(budget int64, creates, held int, each int64) (*Pool, *snapshot.Snapshot) {
	template := &snapshot.Snapshot{Manifest: snapshot.Manifest{BuildID: "template"}}
	p := newPool(Config{BudgetBytes: budget, Templates: one{template}})
	p.demands["template"] = demand{weight: float64(creates), at: time.Now()}
	for range held {
		p.clones["template"] = append(p.clones["template"], &Clone{ended: make(chan struct{}), memoryBytes: each})
	}
	return p, template
}

func TestPool_FollowsDemandWithinItsBudget(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	for name, test := range map[string]struct {
		budget        int64
		creates, held int
		each          int64
		limit, want   int
	}{
		"one is ready without any create":    {1 << 30, 0, 0, 0, 8, 1},
		"and no more":                        {1 << 30, 0, 1, 40 * mebibyte, 8, 0},
		"many creates":                       {1 << 30, 20, 1, 40 * mebibyte, 8, 4},
		"a few at a time":                    {1 << 30, 20, 1, 40 * mebibyte, 2, 2},
		"the budget has room for one more":   {100 * mebibyte, 20, 1, 40 * mebibyte, 8, 1},
		"the budget is used up":              {70 * mebibyte, 20, 1, 40 * mebibyte, 8, 0},
		"no budget for the first":            {10 * mebibyte, 20, 0, 0, 8, 0},
		"clones that take more than thought": {1 << 30, 100, 2, 400 * mebibyte, 8, 0},
	} {
		p, template := poolWith(test.budget, test.creates, test.held, test.each)
		wanted := p.shortage(test.limit)
		require.Len(t, wanted, test.want, name)
		for _, base := range wanted {
			require.Same(t, template, base)
		}
	}
	p, _ := poolWith(1<<30, 20, 0, 0)
	p.closed = true
	require.Empty(t, p.shortage(8))
}

func TestPool_EndsDeadClonesAndThoseWithoutDemand(t *testing.T) {
	t.Parallel()
	p, _ := poolWith(1<<30, 0, 5, 1<<20)
	all := slices.Clone(p.clones["template"])
	ended := make(chan struct{})
	close(ended)
	all[4].ended = ended
	surplus := p.takeSurplus()
	require.ElementsMatch(t, []*Clone{all[4], all[0], all[1]}, surplus, "the dead, and the oldest")
	require.Equal(t, []*Clone{all[2], all[3]}, p.clones["template"], "some more than needed: demand comes in waves")
	require.Empty(t, p.takeSurplus())
}
