package sandbox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

func ExampleSandbox_Transition() {
	killing := sandbox.Sandbox{ID: "i1", State: sandbox.Killing, EndCause: sandbox.CauseExpired}
	step, err := killing.Transition(sandbox.Killed, "")
	fmt.Println(step.Event, step.Level, step.Line, err)
	_, err = killing.Transition(sandbox.Running, "")
	fmt.Println(err)
	// Output:
	// sandbox.expired info Sandbox ended <nil>
	// sandbox i1: no transition from killing to running
}

// causes are what Transition needs for an end, and nothing else.
func causes(next sandbox.State) []sandbox.EndCause {
	if next.Ending() {
		return sandbox.EndCauses()
	}
	return []sandbox.EndCause{""}
}

// shown is a step as the tests write it.
func shown(step sandbox.Step) string {
	return fmt.Sprintf("%s to %s: %s|%s|%s", step.From, step.Next, step.Event, step.Level, step.Line)
}

func TestTransition_MakesExactlyThisKnown(t *testing.T) {
	t.Parallel()
	var steps []string
	for _, from := range sandbox.States() {
		for _, next := range sandbox.States() {
			cause := causes(next)[0]
			if step, err := (sandbox.Sandbox{State: from}).Transition(next, cause); err == nil {
				steps = append(steps, shown(step))
			}
		}
	}
	require.Equal(t, []string{
		"creating to running: sandbox.started|info|Sandbox started",
		"creating to killing: ||",
		"creating to failed: sandbox.failed|error|Sandbox was not created",
		"running to pausing: ||",
		"running to paused: sandbox.paused|info|Sandbox paused",
		"running to broken: sandbox.failed|error|Sandbox failed: it cannot be used",
		"running to killing: ||",
		"running to killed: sandbox.killed|info|Sandbox ended",
		"pausing to running: |warn|Sandbox runs on: it was not paused",
		"pausing to paused: sandbox.paused|info|Sandbox paused",
		"pausing to broken: sandbox.failed|error|Sandbox failed: it cannot be used",
		"pausing to killing: ||",
		"pausing to killed: sandbox.killed|info|Sandbox ended",
		"paused to running: sandbox.resumed|info|Sandbox resumed",
		"paused to resuming: ||",
		"paused to broken: sandbox.failed|error|Sandbox failed: it cannot be used",
		"paused to killing: ||",
		"paused to killed: sandbox.killed|info|Sandbox ended",
		"resuming to running: sandbox.resumed|info|Sandbox resumed",
		"resuming to paused: |warn|Sandbox stays paused: it was not resumed",
		"resuming to broken: sandbox.failed|error|Sandbox failed: it cannot be used",
		"resuming to killing: ||",
		"resuming to killed: sandbox.killed|info|Sandbox ended",
		"broken to running: sandbox.resumed|info|Sandbox resumed",
		"broken to paused: sandbox.paused|info|Sandbox can be used again",
		"broken to killing: ||",
		"broken to killed: sandbox.killed|info|Sandbox ended",
		"killing to killed: sandbox.killed|info|Sandbox ended",
	}, steps)
}

func TestTransition_TellsOfAKillByItsCause(t *testing.T) {
	t.Parallel()
	for cause, want := range map[sandbox.EndCause]sandbox.Event{
		sandbox.CauseKilled: sandbox.EventKilled, sandbox.CauseExpired: sandbox.EventExpired,
		sandbox.CauseNotCreated: sandbox.EventFailed, sandbox.CauseEndedOnHost: sandbox.EventKilled,
		sandbox.CauseHostRetired: sandbox.EventKilled,
	} {
		step, err := sandbox.Sandbox{State: sandbox.Running}.Transition(sandbox.Killed, cause)
		require.NoError(t, err)
		require.Equal(t, want, step.Event, cause)
		require.NotEmpty(t, cause.Reason())
	}
}

func TestTransition_NeedsACauseExactlyForAnEnd(t *testing.T) {
	t.Parallel()
	running := sandbox.Sandbox{State: sandbox.Running}
	for next, cause := range map[sandbox.State]sandbox.EndCause{
		sandbox.Killed: "", sandbox.Killing: "its time was over", sandbox.Paused: sandbox.CauseExpired,
	} {
		_, err := running.Transition(next, cause)
		require.ErrorContains(t, err, "does not fit", "%s with %q", next, cause)
	}
}

// A walk through the table with random reasons: the first cause of an end decides its
// event, reasons decide nothing, and every life can come to its end.
func TestTransition_DependsOnNoText(t *testing.T) {
	t.Parallel()
	texts := []string{""}
	for _, cause := range sandbox.EndCauses() {
		texts = append(texts, string(cause), cause.Reason())
	}
	text := rapid.OneOf(rapid.SampledFrom(texts), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		plain := sandbox.Sandbox{State: sandbox.Creating}
		for range 30 {
			if plain.State.Over() {
				return
			}
			next := rapid.SampledFrom(slices.DeleteFunc(sandbox.States(), func(next sandbox.State) bool {
				return !plain.State.CanBecome(next)
			})).Draw(t, "next")
			cause := rapid.SampledFrom(causes(next)).Draw(t, "cause")
			reworded := plain
			reworded.Reason, reworded.Alias = text.Draw(t, "reason"), text.Draw(t, "alias")
			step, err := plain.Transition(next, cause)
			other, otherErr := reworded.Transition(next, cause)
			if err != nil || otherErr != nil || step != other {
				t.Fatalf("%v, %v; with other texts %v, %v", step, err, other, otherErr)
			}
			if plain.EndCause != "" && step.Cause != plain.EndCause {
				t.Fatalf("the end's cause changed from %s to %s", plain.EndCause, step.Cause)
			}
			plain.State, plain.EndCause = step.Next, step.Cause
		}
	})
}
