package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Resume brings a paused sandbox back under the identity it had. If it fails
// the sandbox is still paused, as it was. Without memory it boots from its disk, also
// where there is memory to go on from, which is left as it is.
func (m *Manager) Resume(ctx context.Context, id, requestID string, identity Identity, withoutMemory bool) (Info, error) {
	s, err := m.findOpen(id)
	if err != nil {
		return Info{}, err
	}
	return once(ctx, &m.requests, request{"resume", id, requestID}, func() (Info, error) {
		return m.resume(ctx, s, identity, withoutMemory)
	})
}

func (m *Manager) resume(ctx context.Context, s *sandbox, identity Identity, withoutMemory bool) (Info, error) {
	// Nothing is reserved while another operation has what it needs.
	waiting, cancel := context.WithTimeout(ctx, busyPatience)
	err := s.awaitSettled(waiting)
	cancel()
	before := s.info()
	if err != nil {
		return Info{}, errors.Join(ctx.Err(), &ConflictError{ID: s.id, State: before.State, Wanted: "resume"})
	}
	if before.State == Running {
		return before, nil
	}
	if before.GuestUnresponsive && !withoutMemory {
		return Info{}, fmt.Errorf("resume sandbox %s: %w", s.id, ErrUnresponsive)
	}
	release, err := m.admitOrGiveBack(before.size())
	if err != nil {
		return Info{}, err
	}
	defer release()
	ctx, op, err := m.beginSettled(ctx, ctx, s, Resuming, "resume")
	if info := s.info(); err != nil && info.State == Running {
		return info, nil
	}
	if err != nil {
		return Info{}, err
	}
	m.announce(s)
	began := time.Now()
	s.mutex.Lock()
	if s.record.Environment == nil && len(identity.EnvVars) > 0 { // of an earlier version's record
		s.record.Environment = identity.EnvVars
	}
	s.mutex.Unlock()
	paused := s.base
	if withoutMemory {
		s.base = paused.WithoutMemory()
	}
	err = s.journal()
	if err == nil {
		err = m.run(ctx, s, identity, began)
	}
	if err != nil {
		s.base = paused
		m.settle(op, Paused, before.Reason)
		return Info{}, fmt.Errorf("resume sandbox %s: %w", s.id, err)
	}
	m.publish(op, Running, "")
	s.logger(m.log).Info("sandbox resumed", "withoutMemory", withoutMemory, "took", time.Since(began))
	return s.info(), nil
}
