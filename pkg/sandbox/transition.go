package sandbox

import "fmt"

// Event is the type of an event about a sandbox.
type Event string

// The types of events about sandboxes.
const (
	EventCreated     Event = "sandbox.created" // asked for; it does not run yet
	EventStarted     Event = "sandbox.started" // runs for the first time
	EventPaused      Event = "sandbox.paused"
	EventResumed     Event = "sandbox.resumed"
	EventSnapshotted Event = "sandbox.snapshotted"
	EventForked      Event = "sandbox.forked"
	EventUpdated     Event = "sandbox.updated" // its end, metadata or network
	EventKilled      Event = "sandbox.killed"
	EventExpired     Event = "sandbox.expired" // killed because its time was over
	EventFailed      Event = "sandbox.failed"  // never ran, or its host cannot use it any more
)

// Step is what one step of a sandbox's life makes known.
type Step struct {
	From, Next State
	// Cause is why the sandbox ends; empty for a step that does not end it.
	Cause EndCause
	// Event is empty for a step that its team is not told of.
	Event Event
	// Line is empty for a step that the sandbox's log does not show.
	Line  string
	Level Level
}

// made is what the table has of a step.
type made struct {
	event Event
	level Level
	line  string
}

var (
	silent  = made{}
	resumed = made{EventResumed, Info, "Sandbox resumed"}
	paused  = made{EventPaused, Info, "Sandbox paused"}
	broken  = made{EventFailed, Error, "Sandbox failed: it cannot be used"}
	// killed has the event of the cause.
	killed = made{level: Info, line: "Sandbox ended"}
)

// transitions is every step a sandbox can take. A step from one settled state to
// another is what its host reports: a pause, a resume, a failure or an end that the
// control plane did not see, and that a broken sandbox can be used again.
var transitions = map[State]map[State]made{
	Creating: {
		Running: {EventStarted, Info, "Sandbox started"},
		Killing: silent,
		Failed:  {EventFailed, Error, "Sandbox was not created"},
	},
	Running: {Pausing: silent, Paused: paused, Broken: broken, Killing: silent, Killed: killed},
	Pausing: {
		Running: {"", Warn, "Sandbox runs on: it was not paused"},
		Paused:  paused, Broken: broken, Killing: silent, Killed: killed,
	},
	Paused: {Running: resumed, Resuming: silent, Broken: broken, Killing: silent, Killed: killed},
	Resuming: {
		Paused:  {"", Warn, "Sandbox stays paused: it was not resumed"},
		Running: resumed, Broken: broken, Killing: silent, Killed: killed,
	},
	Broken: {
		Paused:  {EventPaused, Info, "Sandbox can be used again"},
		Running: resumed, Killing: silent, Killed: killed,
	},
	Killing: {Killed: killed},
}

// Transition returns the step of a sandbox to its next state. cause is needed where
// that is Killing, Killed or Failed, and refused elsewhere. A sandbox that has a cause
// already keeps it.
func (s Sandbox) Transition(next State, cause EndCause) (Step, error) {
	made, allowed := transitions[s.State][next]
	if !allowed {
		return Step{}, fmt.Errorf("sandbox %s: no transition from %s to %s", s.ID, s.State, next)
	}
	if s.EndCause != "" {
		cause = s.EndCause
	}
	if next.Ending() != (cause != "") || cause != "" && !cause.known() {
		return Step{}, fmt.Errorf("sandbox %s: cause %q does not fit the transition from %s to %s", s.ID, cause, s.State, next)
	}
	step := Step{From: s.State, Next: next, Cause: cause, Event: made.event, Level: made.level, Line: made.line}
	if next == Killed {
		step.Event = endings[cause].event
	}
	return step, nil
}
