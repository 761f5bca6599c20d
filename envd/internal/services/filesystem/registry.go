package filesystem

import "time"

// reserve counts a watch that is about to be opened. When there is no room, the
// watcher that was not asked for longest makes some, if that is long enough.
func (s *Service) reserve() error {
	for {
		s.mutex.Lock()
		switch {
		case s.closed:
			s.mutex.Unlock()
			return errClosed
		case s.watches < s.limits.watches:
			s.watches++
			s.mutex.Unlock()
			return nil
		}
		id := s.longestUnasked()
		s.mutex.Unlock()
		if id == "" {
			return errTooManyWatchers
		}
		if evicted := s.forget(id); evicted != nil {
			evicted.stop()
		}
	}
}

func (s *Service) unreserve() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.watches--
}

// longestUnasked finds a watcher that may be evicted. The caller holds the mutex.
func (s *Service) longestUnasked() (id string) {
	oldest := time.Now().Add(-s.limits.evictAfter)
	for candidate, w := range s.watchers {
		if w.asked.Before(oldest) {
			id, oldest = candidate, w.asked
		}
	}
	return id
}

func (s *Service) know(id string, w *watcher) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed {
		return errClosed
	}
	s.watchers[id] = w
	s.collecting.Add(1)
	return nil
}

// forget takes a watcher from the service, which its taker stops. It returns
// nil when there is none.
func (s *Service) forget(id string) *watcher {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	w := s.watchers[id]
	if w == nil {
		return nil
	}
	delete(s.watchers, id)
	s.drop(w)
	w.forgotten = true
	return w
}

// drop empties a watcher's buffer. The caller holds the mutex.
func (s *Service) drop(w *watcher) {
	s.buffered -= w.buffered
	w.events, w.buffered = nil, 0
}

// Close ends every watcher that a client created and did not remove. Nothing
// can be watched afterwards.
func (s *Service) Close() {
	s.mutex.Lock()
	s.closed = true
	for _, w := range s.watchers {
		w.cancel()
	}
	s.mutex.Unlock()
	s.collecting.Wait()
}
