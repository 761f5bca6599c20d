package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Resume brings a paused sandbox back under the identity it had. If it fails
// the sandbox is still paused, as it was.
func (m *Manager) Resume(ctx context.Context, id string, identity Identity) (Info, error) {
	s, err := m.find(id)
	if err != nil {
		return Info{}, err
	}
	if info := s.info(); info.State == Running {
		return info, nil
	}
	release, err := m.admitOrGiveBack(s.info().size())
	if err != nil {
		return Info{}, err
	}
	defer release()
	ctx, op, err := s.begin(ctx, Resuming, "resume")
	if err != nil {
		return Info{}, err
	}
	m.announce(s)
	began := time.Now()
	err = s.journal()
	if err == nil {
		err = m.run(ctx, s, identity, identity.AccessToken)
	}
	if err != nil {
		op.step(Paused, "")
		err = errors.Join(err, s.journal())
		m.announce(s)
		return Info{}, fmt.Errorf("resume sandbox %s: %w", id, err)
	}
	s.mutex.Lock()
	s.record.StartedAt = began.UTC()
	s.mutex.Unlock()
	op.step(Running, "")
	m.watchGuest(s)
	m.announce(s)
	s.logger(m.log).Info("sandbox resumed", "took", time.Since(began))
	return s.info(), nil
}
