package process

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// holdFor is how long after a resume a process's output waits for a client
// that was sent away for the snapshot.
const holdFor = 30 * time.Second

// suspension sends clients away before a snapshot, with all that was meant for
// them: a connection that is frozen with the guest loses what is under way.
type suspension struct {
	mutex   sync.Mutex
	active  bool
	streams map[chan struct{}]struct{} // answers under way; each is closed at its end
	expiry  *time.Timer                // releases what is held; nil before the first resume
}

// enter lets a stream begin, unless clients are being sent away.
func (s *suspension) enter() (leave func(), err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.active {
		return nil, connect.NewError(connect.CodeUnavailable, errSuspended)
	}
	ended := make(chan struct{})
	s.streams[ended] = struct{}{}
	return func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.streams, ended)
		close(ended)
	}, nil
}

// Suspend ends every stream in order and holds what their processes write. It
// returns when the streams have ended, or with ctx: a client that does not read
// cannot hold up a pause. Suspending twice is suspending once.
func (s *Service) Suspend(ctx context.Context) {
	s.suspension.mutex.Lock()
	s.suspension.active = true
	streams := make([]chan struct{}, 0, len(s.suspension.streams))
	for stream := range s.suspension.streams {
		streams = append(streams, stream)
	}
	if s.suspension.expiry != nil {
		s.suspension.expiry.Stop()
	}
	s.suspension.mutex.Unlock()
	for _, c := range s.children.Values() {
		c.output.suspend()
	}
	for _, ended := range streams {
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
	}
}

// suspendLateComer sends away a client that subscribed while Suspend was at work.
func (s *Service) suspendLateComer(c *child) {
	s.suspension.mutex.Lock()
	active := s.suspension.active
	s.suspension.mutex.Unlock()
	if active {
		c.output.suspend()
	}
}

// Resume lets clients come again. Resuming what is not suspended does nothing.
func (s *Service) Resume() {
	s.suspension.mutex.Lock()
	defer s.suspension.mutex.Unlock()
	if !s.suspension.active {
		return
	}
	s.suspension.active = false
	s.suspension.expiry = time.AfterFunc(holdFor, s.releaseAll)
}

// Close lets go of what is held for clients; what runs, runs on.
func (s *Service) Close() {
	s.suspension.mutex.Lock()
	if s.suspension.expiry != nil {
		s.suspension.expiry.Stop()
	}
	s.suspension.mutex.Unlock()
	s.releaseAll()
}

func (s *Service) releaseAll() {
	for _, c := range s.children.Values() {
		c.output.release()
	}
}
