// Package sandbox owns the microVMs of one host: what states a sandbox can be
// in, how it moves between them, and what is written down so that the next
// process knows.
package sandbox

import (
	"errors"
	"fmt"
)

// State is where a sandbox is in its life.
type State string

// The states of a sandbox. Gone is never stored, only announced. Failed is not
// stored either: it is a sandbox that cannot be used as it is, with the reason,
// and what its record says stays for the next agent to try again.
const (
	Creating     State = "creating"
	Running      State = "running"
	Pausing      State = "pausing"
	Paused       State = "paused"
	Resuming     State = "resuming"
	Snapshotting State = "snapshotting"
	Updating     State = "updating"
	Killing      State = "killing"
	Gone         State = "gone"
	Failed       State = "failed"
)

// transitions lists every step a sandbox can take. Nothing else changes a state.
var transitions = map[State][]State{
	Creating:     {Running, Killing},
	Running:      {Pausing, Snapshotting, Updating, Killing},
	Pausing:      {Paused, Running, Failed},
	Paused:       {Resuming, Killing},
	Resuming:     {Running, Paused, Failed},
	Snapshotting: {Running, Paused, Failed},
	Updating:     {Running},
	Failed:       {Pausing, Killing},
	Killing:      {Gone},
}

// settled says whether a sandbox stays in a state until somebody asks for
// something else; the other states belong to an operation under way.
func (s State) settled() bool {
	switch s {
	case Running, Paused, Failed, Gone:
		return true
	default:
		return false
	}
}

func (s State) canBecome(next State) bool {
	for _, allowed := range transitions[s] {
		if allowed == next {
			return true
		}
	}
	return false
}

// Errors that callers decide on.
var (
	ErrNotFound         = errors.New("sandbox not found")
	ErrExists           = errors.New("sandbox already exists")
	ErrTemplateNotFound = errors.New("template build not found on this host")
	ErrNoRoom           = errors.New("this host has no room for another sandbox")
	ErrInvalid          = errors.New("invalid request")
	ErrUnresponsive     = errors.New("the guest agent in the memory did not answer when it was written down")
	ErrClosed           = errors.New("the host agent is shutting down")
)

// ConflictError says that a sandbox is in no state for what was asked.
type ConflictError struct {
	ID     string
	State  State
	Wanted string
}

// Busy says that the sandbox is in the middle of another operation.
func (e *ConflictError) Busy() bool { return !e.State.settled() }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("sandbox %s is %s and cannot %s", e.ID, e.State, e.Wanted)
}
