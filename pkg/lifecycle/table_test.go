package lifecycle_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
)

func lights() lifecycle.Table[string] {
	return lifecycle.Table[string]{
		States:  []string{"off", "starting", "on", "broken"},
		Steps:   map[string][]string{"off": {"starting"}, "starting": {"on", "broken"}, "on": {"off", "broken"}},
		Settled: []string{"off", "on"},
	}
}

func ExampleTable() {
	table := lights()
	fmt.Println(table.CanBecome("starting", "on"), table.CanBecome("off", "on"))
	fmt.Println(table.From("broken"))
	fmt.Println(table.IsSettled("starting"), table.IsSettled("broken"), table.IsFinal("broken"))
	// Output:
	// true false
	// [starting on]
	// false true true
}

func TestTable_CheckFindsContradictions(t *testing.T) {
	t.Parallel()
	require.NoError(t, lights().Check())
	for want, spoil := range map[string]func(*lifecycle.Table[string]){
		"has no states":            func(table *lifecycle.Table[string]) { table.States = nil },
		"on is listed twice":       func(table *lifecycle.Table[string]) { table.States = append(table.States, "on") },
		"settled state dim is not": func(table *lifecycle.Table[string]) { table.Settled = append(table.Settled, "dim") },
		"dim has steps but":        func(table *lifecycle.Table[string]) { table.Steps["dim"] = []string{"on"} },
		"to dim, which is not":     func(table *lifecycle.Table[string]) { table.Steps["on"] = []string{"dim"} },
		"off has a step to itself": func(table *lifecycle.Table[string]) { table.Steps["off"] = []string{"starting", "off"} },
		"starting to on is listed": func(table *lifecycle.Table[string]) { table.Steps["starting"] = []string{"on", "on", "broken"} },
		"dim is never reached":     func(table *lifecycle.Table[string]) { table.States = append(table.States, "dim") },
		"never leads to a settled": func(table *lifecycle.Table[string]) {
			table.Steps["broken"], table.Steps["on"] = []string{"starting"}, []string{"broken"}
			table.Steps["starting"], table.Settled = []string{"on", "broken"}, []string{"off"}
		},
	} {
		table := lights()
		spoil(&table)
		require.ErrorContains(t, table.Check(), want)
	}
}

func TestTable_FromIsCanBecomeReadBackwards(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table := lifecycle.Table[int]{States: []int{0, 1, 2, 3, 4}, Steps: map[int][]int{}}
		for _, state := range table.States {
			table.Steps[state] = rapid.SliceOfDistinct(rapid.IntRange(0, 4), rapid.ID).Draw(t, "steps")
		}
		for _, next := range table.States {
			from := map[int]bool{}
			for _, state := range table.From(next) {
				from[state] = true
			}
			for _, state := range table.States {
				if from[state] != table.CanBecome(state, next) {
					t.Fatalf("From(%d) has %d: %v, but CanBecome says %v", next, state, from[state], table.CanBecome(state, next))
				}
			}
		}
	})
}
