package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	// prepareTimeout bounds how long a guest may take to fall quiet. Hostile
	// code may never let it: then the pause fails and the guest runs on.
	prepareTimeout = 15 * time.Second
	// wakeTimeout is how long a guest's agent may take to answer after a pause
	// that failed.
	wakeTimeout = 20 * time.Second
	// freezeTimeout is how long a guest's commands are waited for: those that
	// the kernel cannot stop in time are caught where they are.
	freezeTimeout = 500 * time.Millisecond
	// drainTimeout is how long a client may take to read what it is still owed.
	drainTimeout = 500 * time.Millisecond
	// pauseTimeout bounds a whole pause, writing memory included.
	pauseTimeout = 5 * time.Minute
)

// Pause writes a sandbox down and ends its VM. It answers when memory, devices
// and disk are durable. If it fails the guest runs on as before. A caller that
// goes away does not stop it: half-paused is worse than paused.
func (m *Manager) Pause(ctx context.Context, id string) (Info, error) {
	return m.pause(ctx, id, false)
}

// PauseDiskOnly is Pause without the memory: what runs in the sandbox ends, and
// a resume boots it.
func (m *Manager) PauseDiskOnly(ctx context.Context, id string) (Info, error) {
	return m.pause(ctx, id, true)
}

func (m *Manager) pause(ctx context.Context, id string, diskOnly bool) (Info, error) {
	s, err := m.find(id)
	if err != nil {
		return Info{}, err
	}
	if info := s.info(); info.State == Paused {
		return info, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseTimeout)
	defer cancel()
	ctx, op, err := s.begin(ctx, Pausing, "pause")
	if err != nil {
		return Info{}, err
	}
	m.announce(s)
	began := time.Now()
	old := s.base
	taken, err := m.takeOwnSnapshot(ctx, s, diskOnly)
	if err != nil {
		return Info{}, m.abandonPause(ctx, op, fmt.Errorf("pause sandbox %s: %w", id, err))
	}
	s.base = taken
	if err := m.stopGuest(s, s.guest); err != nil {
		s.logger(m.log).Error("free what a paused sandbox held", "error", err)
	}
	s.guest = nil
	s.secrets.Set(egress.SecretValues{})
	m.removeOwned(s, old)
	op.step(Paused, "")
	m.announce(s)
	s.logger(m.log).Info("sandbox paused", "diskOnly", diskOnly, "took", time.Since(began))
	return s.info(), nil
}

// takeOwnSnapshot quiets the guest, hangs up on it, stops it and writes the next
// snapshot of the sandbox's own. The record that names it is what makes the
// pause count.
func (m *Manager) takeOwnSnapshot(ctx context.Context, s *sandbox, diskOnly bool) (*snapshot.Snapshot, error) {
	if err := s.journal(); err != nil {
		return nil, err
	}
	quiet, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if err := s.guest.quiet(quiet, false); err != nil {
		return nil, fmt.Errorf("quiet the guest: %w", err)
	}
	m.hangUp(ctx, s.id)
	if diskOnly {
		if err := s.guest.envd.FreezeFilesystem(quiet, s.guest.token); err != nil {
			return nil, fmt.Errorf("have the guest write out its file system: %w", err)
		}
	}
	if err := s.guest.machine.Pause(ctx); err != nil {
		return nil, err
	}
	return s.writeDown(ctx, s.source(), diskOnly)
}

// writeDown makes the next snapshot of the sandbox's own, and the record that
// says it is paused there.
func (s *sandbox) writeDown(ctx context.Context, source snapshot.Source, diskOnly bool) (*snapshot.Snapshot, error) {
	name := fmt.Sprintf("snapshot-%d", time.Now().UnixNano())
	manifest := s.manifest()
	manifest.DiskOnly = diskOnly
	taken, err := snapshot.Take(ctx, source, manifest, filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	paused := s.record
	s.mutex.Unlock()
	paused.State, paused.Snapshot, paused.running = Paused, name, running{}
	if s.meter != nil { // nobody measured a VM that ended without an agent
		paused.Usage = s.meter.measure()
	}
	if err := paused.saveDurably(s.dir); err != nil {
		return nil, errors.Join(err, taken.Remove())
	}
	s.mutex.Lock()
	state := s.record.State
	s.record, s.meter = paused, nil
	s.record.State = state
	s.mutex.Unlock()
	return taken, nil
}

// hangUp ends every connection to the guest, those to its agent in order.
func (m *Manager) hangUp(ctx context.Context, id string) {
	drained, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	m.drain(drained, id)
	m.disconnect(id)
}

// quiet stops what the guest's users run and then what its agent does, its
// clients' streams included unless the guest is to run on.
func (g *guest) quiet(ctx context.Context, keepStreams bool) error {
	g.stopAsking()
	if err := g.envd.Freeze(ctx, g.token, freezeTimeout); err != nil {
		return err
	}
	return g.envd.PrepareSnapshot(ctx, g.token, keepStreams)
}

// abandonPause lets the guest run on after a pause that failed, its agent's
// answer or not; where its machine cannot, its disk is kept. When ctx was
// cancelled, somebody else is about to stop the guest and shall not wait.
func (m *Manager) abandonPause(ctx context.Context, op *operation, cause error) error {
	s := op.sandbox
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), wakeTimeout)
	defer cancel()
	if err := s.guest.machine.Resume(undo); err != nil {
		err = errors.Join(vmm.ErrNotRunning, cause, fmt.Errorf("let it run on: %w", err), s.guest.machine.Kill(undo))
		m.keepAfterDeath(context.WithoutCancel(ctx), op)
		return err
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		if err := s.guest.wakeAgent(undo); err != nil {
			cause = errors.Join(cause, fmt.Errorf("let it run on: %w", err))
		}
	}
	op.step(Running, "")
	m.watchGuest(s) // it may have ended meanwhile
	m.announce(s)
	return errors.Join(cause, s.journal())
}

// removeOwned deletes a snapshot that a newer one has replaced, unless it is a
// template's.
func (m *Manager) removeOwned(s *sandbox, old *snapshot.Snapshot) {
	if old == nil || filepath.Dir(old.Dir) != s.dir {
		return
	}
	if err := old.Remove(); err != nil {
		s.logger(m.log).Error("remove replaced snapshot", "error", err)
	}
}

func (s *sandbox) manifest() snapshot.Manifest {
	return snapshot.Manifest{
		BuildID: s.record.BuildID, VCPUCount: s.record.VCPUCount,
		MemoryMiB: s.record.MemoryMiB, DiskMiB: s.record.DiskMiB, EnvdVersion: s.record.EnvdVersion,
	}
}
