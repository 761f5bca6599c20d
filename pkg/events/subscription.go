package events

import "errors"

// bufferSize is how many events may wait for a subscriber.
const bufferSize = 256

// The reasons why a subscription has ended.
var (
	// ErrTooSlow says that more events waited for the subscriber than its buffer
	// holds. It missed events: a Log has those of a team from the last ID that it saw.
	ErrTooSlow = errors.New("subscriber was too slow for the events")
	// ErrStopped says that the bus has stopped.
	ErrStopped = errors.New("events have stopped")
)

// Subscription receives the events that its filter matches.
type Subscription struct {
	filter Filter
	events chan Event
	err    error // written before events is closed
}

// Events returns the channel of the events, in order within each team. It is closed at
// the end of the subscription; Err then says why.
func (s *Subscription) Events() <-chan Event { return s.events }

// Err is why the subscription has ended: ErrTooSlow, ErrStopped, or that of its
// context. It is valid once Events is closed.
func (s *Subscription) Err() error { return s.err }

// offer hands over an event without waiting. It returns false where the buffer is
// full.
func (s *Subscription) offer(event Event) bool {
	if !s.filter.Matches(event) {
		return true
	}
	select {
	case s.events <- event:
		return true
	default:
		return false
	}
}
