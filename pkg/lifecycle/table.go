// Package lifecycle has the table of states and steps by which sandboxes, hosts and the
// host agent's sandboxes change.
package lifecycle

import (
	"fmt"
	"slices"
)

// Table lists the states of one kind of thing and the steps between them. No state is
// changed without a check by CanBecome.
type Table[S comparable] struct {
	// States are all states. The first is where every life begins.
	States []S
	// Steps are the states that may follow each state. A state without any is final.
	Steps map[S][]S
	// Settled are the states that last until something else is asked for. The others
	// belong to an operation under way. A final state is settled without being named.
	Settled []S
}

// CanBecome reports whether a step from one state to the next is in the table.
func (t Table[S]) CanBecome(state, next S) bool { return slices.Contains(t.Steps[state], next) }

// From returns the states that next may follow, in the order of States.
func (t Table[S]) From(next S) []S {
	var from []S
	for _, state := range t.States {
		if t.CanBecome(state, next) {
			from = append(from, state)
		}
	}
	return from
}

// IsSettled reports whether a state lasts until something else is asked for.
func (t Table[S]) IsSettled(state S) bool {
	return slices.Contains(t.Settled, state) || t.IsFinal(state)
}

// IsFinal reports whether a state of the table is never left.
func (t Table[S]) IsFinal(state S) bool {
	return len(t.Steps[state]) == 0 && slices.Contains(t.States, state)
}

// Check returns an error if the table contradicts itself: a state or a step that is
// listed twice, a step to the same state, a state that is not in States, one that no
// life reaches, or one from which no settled state can be reached. It is for tests.
func (t Table[S]) Check() error {
	if len(t.States) == 0 {
		return fmt.Errorf("the table has no states")
	}
	for i, state := range t.States {
		if slices.Contains(t.States[:i], state) {
			return fmt.Errorf("state %v is listed twice", state)
		}
	}
	for _, state := range t.Settled {
		if !slices.Contains(t.States, state) {
			return fmt.Errorf("settled state %v is not in the table", state)
		}
	}
	for state, next := range t.Steps {
		if err := t.checkSteps(state, next); err != nil {
			return err
		}
	}
	reached := t.reachable(t.States[0])
	for _, state := range t.States {
		if !reached[state] {
			return fmt.Errorf("state %v is never reached", state)
		}
		if !t.reachesSettled(state) {
			return fmt.Errorf("state %v never leads to a settled state", state)
		}
	}
	return nil
}

func (t Table[S]) checkSteps(state S, next []S) error {
	if !slices.Contains(t.States, state) {
		return fmt.Errorf("state %v has steps but is not in the table", state)
	}
	for i, following := range next {
		switch {
		case following == state:
			return fmt.Errorf("state %v has a step to itself", state)
		case !slices.Contains(t.States, following):
			return fmt.Errorf("state %v has a step to %v, which is not in the table", state, following)
		case slices.Contains(next[:i], following):
			return fmt.Errorf("the step from %v to %v is listed twice", state, following)
		}
	}
	return nil
}

// reachable returns the states that a life can be in after start, itself included.
func (t Table[S]) reachable(start S) map[S]bool {
	reached := map[S]bool{start: true}
	for open := []S{start}; len(open) > 0; open = open[1:] {
		for _, next := range t.Steps[open[0]] {
			if !reached[next] {
				reached[next] = true
				open = append(open, next)
			}
		}
	}
	return reached
}

func (t Table[S]) reachesSettled(state S) bool {
	for reached := range t.reachable(state) {
		if t.IsSettled(reached) {
			return true
		}
	}
	return false
}
