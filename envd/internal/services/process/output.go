package process

import (
	"errors"
	"sync"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
)

// subscriberBytes is how much output waits for one subscriber.
const subscriberBytes = 1 << 20

// errSuspended ends a subscription when the guest is about to be paused.
var errSuspended = errors.New("the sandbox is being paused: connect to the process again when it runs")

// errTooSlow ends a subscription whose reader fell behind another's.
var errTooSlow = errors.New("output was produced faster than it was read, and another reader kept up: the stream ends here")

// output publishes what a process writes to its subscribers.
//
// The fastest subscriber sets the pace. While no subscriber has room, the process blocks, as
// it would on a full pipe. When one has room, those without are ended with an error: no
// reader delays another, and none misses data without an error. Without subscribers output
// is dropped, except after suspend: then it is held for the first new subscriber.
type output struct {
	mutex       sync.Mutex
	room        *sync.Cond // a subscriber has read, was added or removed
	subscribers map[*subscription]struct{}
	end         *pb.ProcessEvent
	held        *subscription // one of subscribers, until the process ends
	unheld      chan struct{} // closed when held becomes nil
}

// subscription is one reader's queue of a process's events.
type subscription struct {
	output *output
	queue  []*pb.ProcessEvent
	bytes  int
	err    error         // why no more events come
	wake   chan struct{} // one token: queue or err has changed
}

func newOutput() *output {
	o := &output{subscribers: make(map[*subscription]struct{})}
	o.room = sync.NewCond(&o.mutex)
	return o
}

// subscribe returns the held subscription, or a new one. After the process's end a new one
// has the end event only.
func (o *output) subscribe() *subscription {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if held := o.held; held != nil {
		o.unhold()
		return held
	}
	s := &subscription{output: o, wake: make(chan struct{}, 1)}
	if o.end != nil {
		s.push(o.end, 0)
		return s
	}
	o.subscribers[s] = struct{}{}
	o.room.Broadcast()
	return s
}

// publish queues data for every subscriber, and blocks while none has room.
func (o *output) publish(event *pb.ProcessEvent, size int) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for len(o.subscribers) > 0 && !o.anyRoom() {
		o.room.Wait()
	}
	for s := range o.subscribers {
		if s.bytes < subscriberBytes {
			s.push(event, size)
			continue
		}
		s.fail(errTooSlow)
		delete(o.subscribers, s)
	}
}

// finish queues the end event, whatever room there is.
func (o *output) finish(end *pb.ProcessEvent) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.end = end
	for s := range o.subscribers {
		s.push(end, 0)
		delete(o.subscribers, s)
	}
	o.room.Broadcast()
}

// suspend ends every subscription after its queued events, and holds later ones.
func (o *output) suspend() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.subscribers) == 0 || o.held != nil {
		return
	}
	for s := range o.subscribers {
		s.fail(errSuspended)
		delete(o.subscribers, s)
	}
	o.held = &subscription{output: o, wake: make(chan struct{}, 1)}
	o.unheld = make(chan struct{})
	o.subscribers[o.held] = struct{}{}
	o.room.Broadcast()
}

// release drops what is held.
func (o *output) release() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.held == nil {
		return
	}
	delete(o.subscribers, o.held)
	o.unhold()
	o.room.Broadcast()
}

// unhold clears held. The caller holds the mutex.
func (o *output) unhold() {
	o.held = nil
	close(o.unheld)
}

// awaitUnheld returns a channel that is closed when nothing is held.
func (o *output) awaitUnheld() <-chan struct{} {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.held != nil {
		return o.unheld
	}
	nothing := make(chan struct{})
	close(nothing)
	return nothing
}

func (o *output) anyRoom() bool {
	for s := range o.subscribers {
		if s.bytes < subscriberBytes {
			return true
		}
	}
	return false
}

// push and fail are called with the output's mutex held.
func (s *subscription) push(event *pb.ProcessEvent, size int) {
	s.queue = append(s.queue, event)
	s.bytes += size
	s.signal()
}

func (s *subscription) fail(err error) {
	s.err = err
	s.signal()
}

func (s *subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns the events since the last call or, when there are none left, the error that
// ended the subscription.
func (s *subscription) take() ([]*pb.ProcessEvent, error) {
	s.output.mutex.Lock()
	defer s.output.mutex.Unlock()
	events := s.queue
	s.queue, s.bytes = nil, 0
	s.output.room.Broadcast()
	if len(events) > 0 {
		if s.err != nil {
			s.signal()
		}
		return events, nil
	}
	return nil, s.err
}

// cancel removes the subscription.
func (s *subscription) cancel() {
	s.output.mutex.Lock()
	defer s.output.mutex.Unlock()
	delete(s.output.subscribers, s)
	s.output.room.Broadcast()
}
