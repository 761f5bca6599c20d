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
	p.demands["template"] = demand{recently: weight{float64(creates), time.Now()}}
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

// many is a host with a template and builds.
type many struct {
	template *snapshot.Snapshot
	builds   []*snapshot.Snapshot
}

func (m *many) Templates() []*snapshot.Snapshot { return []*snapshot.Snapshot{m.template} }
func (m *many) IsTemplate(base *snapshot.Snapshot) bool {
	return base == m.template || slices.Contains(m.builds, base)
}

func TestPool_HoldsTheMostUsedBuildsThatItHasRoomFor(t *testing.T) {
	t.Parallel()
	const each = 40 << 20
	named := func(id string) *snapshot.Snapshot {
		return &snapshot.Snapshot{Manifest: snapshot.Manifest{BuildID: id}}
	}
	host := &many{template: named("template"), builds: []*snapshot.Snapshot{named("a"), named("b"), named("c")}}
	p := newPool(Config{BudgetBytes: 3 * each, Templates: host})
	p.clones["template"] = []*Clone{{ended: make(chan struct{}), memoryBytes: each}}
	for i, build := range host.builds {
		for range i + 1 { // "a" once, "b" twice, "c" three times
			_, done := p.Take(build)
			done()
		}
	}
	require.Equal(t, []*snapshot.Snapshot{host.builds[2], host.builds[1]}, p.shortage(8), "once is not in use")
	for _, build := range []string{"b", "c"} {
		p.clones[build] = []*Clone{{ended: make(chan struct{}), memoryBytes: each}}
	}
	require.Empty(t, p.shortage(8))
	require.Empty(t, p.takeSurplus())

	for range 5 {
		_, done := p.Take(host.builds[0])
		done()
	}
	surplus := p.takeSurplus()
	require.Len(t, surplus, 1, "the least used makes room")
	require.NotContains(t, p.clones, "b")
	require.Equal(t, []*snapshot.Snapshot{host.builds[0]}, p.shortage(8))

	taken, done := p.Take(host.builds[2])
	done()
	require.NotNil(t, taken)
	p.clones["c"] = []*Clone{taken}
	host.builds = host.builds[:2]
	require.Equal(t, []*Clone{taken}, p.takeSurplus(), "its build was deleted")
	require.NotContains(t, p.builds, "c")
	_, done = p.Take(named("of a sandbox"))
	done()
	require.NotContains(t, p.demands, "of a sandbox")
}
