package process

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// holdFor is how long after a resume the output of a process is held for a client whose
// stream was ended for the snapshot.
const holdFor = 30 * time.Second

// suspension ends the clients' streams before a snapshot, after all that was queued for
// them was sent: data in flight on a connection is lost with the snapshot.
type suspension struct {
	mutex   sync.Mutex
	active  bool
	streams map[chan struct{}]struct{} // open streams; each is closed at its end
	expiry  *time.Timer                // releases what is held; nil before the first resume
}

// enter registers a new stream; it fails while suspended.
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

// Suspend ends every stream and holds what their processes write from then on. It returns
// when the streams have ended, or the context has: a client that does not read must not
// delay a pause. It is idempotent.
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

// suspendLate ends the stream of a client that subscribed during Suspend.
func (s *Service) suspendLate(c *child) {
	s.suspension.mutex.Lock()
	active := s.suspension.active
	s.suspension.mutex.Unlock()
	if active {
		c.output.suspend()
	}
}

// Resume allows streams again. It is idempotent.
func (s *Service) Resume() {
	s.suspension.mutex.Lock()
	defer s.suspension.mutex.Unlock()
	if !s.suspension.active {
		return
	}
	s.suspension.active = false
	s.suspension.expiry = time.AfterFunc(holdFor, s.releaseAll)
}

// Close drops output that is held for clients. Processes run on.
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
