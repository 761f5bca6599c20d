package sandbox

import "context"

// watcher is one caller of Watch. Its queue is a set: a sandbox that changed
// twice before it was read is read once, as it is then, so that a slow reader
// costs a bounded amount and delays nobody.
type watcher struct {
	changed map[string]Info
	wake    chan struct{} // one token: there is something in changed
}

// Watch calls receive with every sandbox there is and then, until ctx ends or
// receive fails, with each that changes.
func (m *Manager) Watch(ctx context.Context, receive func(Info) error) error {
	w := &watcher{changed: make(map[string]Info), wake: make(chan struct{}, 1)}
	m.mutex.Lock()
	m.watchers[w] = struct{}{}
	m.mutex.Unlock()
	defer func() {
		m.mutex.Lock()
		delete(m.watchers, w)
		m.mutex.Unlock()
	}()
	for _, info := range m.List() {
		if err := receive(info); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		m.mutex.Lock()
		changed := w.changed
		w.changed = make(map[string]Info)
		m.mutex.Unlock()
		for _, info := range changed {
			if err := receive(info); err != nil {
				return err
			}
		}
	}
}

// announce tells every watcher how a sandbox is now: looked at in turn, so that
// nobody is told last what was before.
func (m *Manager) announce(s *sandbox) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	info := s.info()
	for w := range m.watchers {
		w.changed[info.ID] = info
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
