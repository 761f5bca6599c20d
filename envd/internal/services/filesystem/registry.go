package filesystem

import "time"

// reserve counts a watch that is to be opened. At the limit it evicts the watcher that has
// gone longest without a call, if that is at least evictAfter.
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

// longestUnasked returns the watcher to evict, if any. The caller holds the mutex.
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

// forget removes a watcher from the service; the caller stops it. It returns nil for an
// unknown one.
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

// Close ends all watchers. No watch can be opened afterwards.
func (s *Service) Close() {
	s.mutex.Lock()
	s.closed = true
	for _, w := range s.watchers {
		w.cancel()
	}
	s.mutex.Unlock()
	s.collecting.Wait()
}
