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

// errTooSlow ends a subscription whose reader fell behind another one's.
var errTooSlow = errors.New("output was produced faster than it was read, and another reader kept up: the stream ends here")

// output hands what a process writes to everybody who listens.
//
// The fastest subscriber sets the pace. While nobody has room the process
// waits, as it would for a pipe; when one has room, whoever has not is cut off
// with an error. So no reader delays another, and none misses a byte unknowing.
// With no subscriber at all output is dropped: nobody asked for it. But when
// subscribers had to leave for a snapshot, what comes is held for the first that
// returns.
type output struct {
	mutex       sync.Mutex
	room        *sync.Cond // a subscriber read something, came or left
	subscribers map[*subscription]struct{}
	end         *pb.ProcessEvent
	held        *subscription // one of subscribers, until the process ends
	unheld      chan struct{} // closed when held is given away
}

// subscription is one reader of a process's events, the end included.
type subscription struct {
	output *output
	queue  []*pb.ProcessEvent
	bytes  int
	err    error         // why there will be no more
	wake   chan struct{} // one token: queue or err has changed
}

func newOutput() *output {
	o := &output{subscribers: make(map[*subscription]struct{})}
	o.room = sync.NewCond(&o.mutex)
	return o
}

// subscribe starts to collect events, with those held. After the end it yields
// just that.
func (o *output) subscribe() *subscription {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if held := o.held; held != nil {
		o.letGo()
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

// publish hands data to every subscriber, and waits while none has room.
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

// finish hands out the last event; it always has room.
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

// suspend ends every subscription once it has taken what is in its queue, and
// holds what comes then.
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

// release drops what is held: nobody returned for it.
func (o *output) release() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.held == nil {
		return
	}
	delete(o.subscribers, o.held)
	o.letGo()
	o.room.Broadcast()
}

// letGo is called with the mutex held.
func (o *output) letGo() {
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

// take returns what has come since the last call, and the error that ended the
// subscription, once everything before it was taken.
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

// cancel ends the subscription; the process no longer waits for it.
func (s *subscription) cancel() {
	s.output.mutex.Lock()
	defer s.output.mutex.Unlock()
	delete(s.output.subscribers, s)
	s.output.room.Broadcast()
}
