package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

const (
	// closeParallelism bounds how many sandboxes are written to disk at once.
	closeParallelism = 4
	// closePatience is how long an operation under way may take to end by itself when the
	// manager closes.
	closePatience = 30 * time.Second
)

// Close pauses every sandbox that runs, switches off those that cannot be paused, and
// waits until no VM is left.
func (m *Manager) Close() error {
	m.host.closed.Store(true)
	m.host.closing.Store(true)
	m.sampler.Close()
	m.upkeep.Close()
	warmErr := m.warm.Close()
	var pauses errgroup.Group
	pauses.SetLimit(closeParallelism)
	for _, s := range m.host.all() {
		pauses.Go(s.close)
	}
	err := pauses.Wait()
	m.host.tasks.Wait()
	return errors.Join(warmErr, err)
}

// close leaves no VM of the sandbox. One that cannot be paused, because of its guest
// perhaps, is switched off: its disk is kept, and no acknowledged write is lost.
func (s *sandbox) close() error {
	patience, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if s.awaitSettled(patience) != nil {
		if err := s.interrupt(context.Background()); err != nil {
			return err
		}
	}
	if s.info().State != state.Running {
		return nil
	}
	ctx, cancelPause := context.WithTimeout(context.Background(), pauseTimeout)
	defer cancelPause()
	ctx, op, err := s.begin(ctx, state.Pausing, "pause")
	if err == nil {
		_, err = op.pause(ctx, PauseRequest{RequireHealthyGuest: true})
	}
	if err == nil || s.info().State != state.Running {
		return nil // or its VM has ended, and its disk is kept
	}
	s.log().Warn("a sandbox cannot be paused and is switched off; its disk is kept", "error", err)
	return s.powerOff(fmt.Sprintf("it could not be paused when the host agent stopped (%v); its disk was kept", err))
}

// Leave ends the manager but not the VMs, which the next one adopts. Operations under way
// are finished first.
func (m *Manager) Leave() {
	m.host.closed.Store(true)
	close(m.host.left)
	for _, s := range m.host.all() {
		// Every operation has a time limit of its own.
		_ = s.awaitSettled(context.Background())
	}
	if err := m.warm.Close(); err != nil {
		m.host.log.Error("end clones held ready", "error", err)
	}
	m.sampler.Close()
	m.upkeep.Close()
	m.host.tasks.Wait()
	for _, s := range m.host.all() {
		if s.guest != nil {
			s.guest.StopServing()
		}
		s.letGo()
	}
}
