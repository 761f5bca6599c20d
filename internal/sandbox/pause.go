package sandbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	// prepareTimeout bounds how long a guest may take to fall quiet. Hostile
	// code may never let it: then the pause fails and the guest runs on.
	prepareTimeout = 15 * time.Second
	// hastyTimeout is prepareTimeout for who puts all sandboxes away.
	hastyTimeout = 5 * time.Second
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

// snapshotPrefix starts the names of a sandbox's own snapshots, in its directory.
const snapshotPrefix = "snapshot-"

// PauseRequest is how a sandbox is to be paused.
type PauseRequest struct {
	// DiskOnly leaves the memory behind: what runs in the sandbox ends, and a resume
	// boots it.
	DiskOnly bool
	// RequireHealthyGuest lets the sandbox run on where its guest agent does not answer.
	// With DiskOnly it always does: nothing else writes out its file system.
	RequireHealthyGuest bool
}

// Pause writes a sandbox down and ends its VM. It answers when memory, devices
// and disk are durable. If it fails the guest runs on as before. A caller that
// goes away does not stop it: half-paused is worse than paused.
func (m *Manager) Pause(ctx context.Context, id, requestID string, wanted PauseRequest) (Info, error) {
	s, err := m.findOpen(id)
	if err != nil {
		return Info{}, err
	}
	return once(ctx, &m.requests, request{"pause", id, requestID}, func() (Info, error) {
		return m.pauseSandbox(ctx, s, wanted)
	})
}

func (m *Manager) pauseSandbox(ctx context.Context, s *sandbox, wanted PauseRequest) (Info, error) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseTimeout)
	defer cancel()
	within, op, err := m.beginSettled(ctx, within, s, Pausing, "pause")
	if info := s.info(); err != nil && info.State == Paused {
		return info, nil
	}
	if err != nil {
		return Info{}, err
	}
	return m.finishPause(within, op, wanted)
}

// finishPause does the work of a pause that has begun.
func (m *Manager) finishPause(ctx context.Context, op *operation, wanted PauseRequest) (Info, error) {
	s := op.sandbox
	m.announce(s)
	began := time.Now()
	earlier := s.record.Snapshot
	taken, err := m.takeOwnSnapshot(ctx, s, wanted)
	if err != nil {
		return Info{}, m.abandonPause(ctx, op, fmt.Errorf("pause sandbox %s: %w", s.id, err), s.guest.wakeAgent)
	}
	m.keepPaused(op, taken, earlier, "")
	s.logger(m.log).Info("sandbox paused", "diskOnly", wanted.DiskOnly, "guestUnresponsive", taken.GuestUnresponsive, "took", time.Since(began))
	return s.info(), nil
}

// keepPaused frees what a sandbox's VM held: a snapshot of its own, which its
// record names, has taken the place of the earlier one.
func (m *Manager) keepPaused(op *operation, taken *snapshot.Snapshot, earlier, reason string) {
	s := op.sandbox
	s.base = taken
	if s.guest != nil {
		if err := m.freeGuest(s, s.guest); err != nil {
			s.logger(m.log).Error("free what a paused sandbox held", "error", err)
		}
	}
	s.guest = nil
	if err := s.removeFiles(); err != nil {
		s.logger(m.log).Error("remove the files of a VM that has ended", "error", err)
	}
	s.secrets.Set(egress.SecretValues{})
	m.removeReplaced(s, earlier)
	m.publish(op, Paused, reason)
}

// takeOwnSnapshot quiets the guest, hangs up on it, stops it and writes the next
// snapshot of the sandbox's own. The record that names it is what makes the
// pause count.
func (m *Manager) takeOwnSnapshot(ctx context.Context, s *sandbox, wanted PauseRequest) (*snapshot.Snapshot, error) {
	if err := s.journal(); err != nil {
		return nil, err
	}
	if err := s.guest.unhold(ctx); err != nil { // it has to answer
		return nil, err
	}
	patience := prepareTimeout
	if m.closing.Load() {
		patience = hastyTimeout
	}
	quiet, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unresponsive := false
	if err := s.guest.quiet(quiet, envdclient.Preparation{}); err != nil {
		var guest *GuestError
		unresponsive = errors.As(err, &guest)
		if !unresponsive || wanted.DiskOnly || wanted.RequireHealthyGuest {
			return nil, fmt.Errorf("quiet the guest: %w", err)
		}
		s.logger(m.log).Warn("a sandbox is paused whose guest agent does not answer", "error", err)
	}
	m.hangUp(ctx, s.id)
	if wanted.DiskOnly {
		if err := s.guest.freezeFilesystem(quiet); err != nil {
			return nil, err
		}
	}
	if err := s.guest.machine.Pause(ctx); err != nil {
		return nil, err
	}
	manifest := s.manifest()
	manifest.DiskOnly, manifest.GuestUnresponsive = wanted.DiskOnly, unresponsive
	if !wanted.DiskOnly {
		manifest.Secret = s.guest.secret
	}
	return s.writeDown(ctx, s.source(), manifest, "")
}

// writeDown makes the next snapshot of the sandbox's own, and the record that
// says it is paused there, and why if nobody asked for it.
func (s *sandbox) writeDown(ctx context.Context, source snapshot.Source, manifest snapshot.Manifest, reason string) (*snapshot.Snapshot, error) {
	name := fmt.Sprintf("%s%d", snapshotPrefix, time.Now().UnixNano())
	taken, err := snapshot.Take(ctx, source, manifest, filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	paused := s.record
	s.mutex.Unlock()
	paused.State, paused.Reason, paused.Snapshot, paused.running = Paused, reason, name, running{}
	paused.GuestUnresponsive = manifest.GuestUnresponsive
	if s.meter != nil { // nobody measured a VM that ended without an agent
		paused.Usage = s.meter.measure()
	}
	if err := paused.save(s.dir); err != nil {
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
func (g *guest) quiet(ctx context.Context, how envdclient.Preparation) error {
	g.stopAsking()
	return g.unlessDead(ctx, func(ctx context.Context) error {
		if err := g.envd.Freeze(ctx, g.secret, freezeTimeout); err != nil {
			return err
		}
		return g.envd.PrepareSnapshot(ctx, g.secret, how)
	})
}

// abandonPause lets the guest run on after a pause or a snapshot that failed, its
// agent woken or not: the tender goes on waking one that did not answer. Where
// its machine cannot run on, its disk is kept. Where somebody else is about to stop
// the guest, ctx being cancelled or the manager closing, it is not waited for.
func (m *Manager) abandonPause(ctx context.Context, op *operation, cause error, wake func(context.Context) error) error {
	s := op.sandbox
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), wakeTimeout)
	defer cancel()
	if err := s.guest.machine.Resume(undo); err != nil {
		err = errors.Join(vmm.ErrNotRunning, cause, fmt.Errorf("let it run on: %w", err), s.guest.machine.Kill(undo))
		m.keepAfterDeath(context.WithoutCancel(ctx), op, s.guest.deathReason())
		return err
	}
	s.guest.wake = wake
	if !errors.Is(ctx.Err(), context.Canceled) && !m.closing.Load() {
		if err := wake(undo); err != nil {
			cause = errors.Join(cause, fmt.Errorf("let it run on: %w", err))
		}
	}
	m.settle(op, Running, "")
	return cause
}

// removeReplaced deletes a snapshot of the sandbox's own, by its name, that a
// newer one has replaced; empty means that there was none.
func (m *Manager) removeReplaced(s *sandbox, name string) {
	if name == "" {
		return
	}
	replaced := &snapshot.Snapshot{Dir: filepath.Join(s.dir, name)}
	if err := replaced.Remove(); err != nil {
		s.logger(m.log).Error("remove replaced snapshot", "error", err)
	}
}

func (s *sandbox) manifest() snapshot.Manifest {
	return snapshot.Manifest{
		BuildID: s.record.BuildID, VCPUCount: s.record.VCPUCount,
		MemoryMiB: s.record.MemoryMiB, DiskMiB: s.record.DiskMiB, EnvdVersion: s.record.EnvdVersion,
	}
}
