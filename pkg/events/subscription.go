package events

import "errors"

// bufferSize is how many events a subscriber may be behind.
const bufferSize = 256

// The reasons why a subscription has ended.
var (
	// ErrTooSlow says that the subscriber was too far behind. It has missed
	// events: a Log has those of a team from the last ID that was seen.
	ErrTooSlow = errors.New("subscriber was too slow for the events")
	// ErrStopped says that the bus has ended.
	ErrStopped = errors.New("events have stopped")
)

// Subscription is a subscriber's view of the events.
type Subscription struct {
	filter Filter
	events chan Event
	err    error // written before events is closed
}

// Events are the events, in order within each team. The channel is closed at the
// end of the subscription; Err then says why.
func (s *Subscription) Events() <-chan Event { return s.events }

// Err is why the subscription has ended: ErrTooSlow, ErrStopped, or that of its
// context. It is valid once Events is closed.
func (s *Subscription) Err() error { return s.err }

// offer hands an event over without waiting. It answers false to a subscriber
// who has no room for it.
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
