package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// recover makes sense of what the last agent left: what runs is adopted, what
// was under way is rolled back, paused sandboxes are kept, rubbish is removed.
// What goes wrong with one sandbox is that sandbox's alone.
func (m *Manager) recover(ctx context.Context) error {
	found, err := m.readRecords()
	if err != nil {
		return err
	}
	if err := m.endOrphans(ctx, found); err != nil {
		return err
	}
	for id, kept := range found {
		s := &sandbox{id: id, dir: m.sandboxDir(id), record: kept.record, settled: closedChannel(), signer: &m.signer}
		err := m.recoverSandbox(ctx, s, kept.err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m.keepFailed(s, err)
		}
	}
	for _, step := range []struct {
		what string
		err  error
	}{
		{"clear away clones that were held ready", os.RemoveAll(m.warmDir())},
		{"end what runs in control groups that nobody claims", m.removeOrphanGroups(ctx)},
		{"remove networks that nobody uses", m.network.RemoveLeftovers()},
		{"find snapshots", m.openSnapshots()},
	} {
		if step.err != nil {
			m.log.Error("tidy up after the last host agent", "step", step.what, "error", step.err)
		}
	}
	m.reportRecovery()
	return nil
}

// keptRecord is what was read of a sandbox, or why it could not be.
type keptRecord struct {
	record
	err error
}

func (m *Manager) readRecords() (map[string]keptRecord, error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, fmt.Errorf("read sandbox directory: %w", err)
	}
	found := make(map[string]keptRecord)
	for _, entry := range entries {
		if entry.Name() == warmDirectory {
			continue
		}
		if !id.IsSandbox(entry.Name()) {
			m.log.Warn("foreign entry in the sandbox directory is left alone", "name", entry.Name())
			continue
		}
		kept, err := loadRecord(m.sandboxDir(entry.Name()))
		found[entry.Name()] = keptRecord{kept, err}
	}
	return found, nil
}

// endOrphans kills every VMM that no record claims: those of sandboxes that
// were just being made or resumed, and of those already paused or killed.
func (m *Manager) endOrphans(ctx context.Context, found map[string]keptRecord) error {
	running, err := m.driver.Processes(m.dir)
	if err != nil {
		return err
	}
	var claimed []vmm.Process
	for _, kept := range found {
		if kept.err == nil && kept.State.hasMachine() {
			claimed = append(claimed, kept.Process)
		}
	}
	for _, process := range running {
		if slices.Contains(claimed, process) {
			continue
		}
		m.log.Warn("ending a VM that belongs to no running sandbox", "pid", process.ID)
		if err := m.endOrphan(ctx, process); err != nil {
			m.log.Error("end a VM that belongs to no running sandbox", "pid", process.ID, "error", err)
		}
	}
	return ctx.Err()
}

func (m *Manager) endOrphan(ctx context.Context, process vmm.Process) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return process.End(ctx)
}

// hasMachine says whether a record with this state claims a VM: one of which a
// pause or a snapshot was being taken still runs, stopped perhaps.
func (s State) hasMachine() bool {
	return s == Running || s == Pausing || s == Snapshotting || s == Updating
}

func (m *Manager) recoverSandbox(ctx context.Context, s *sandbox, readErr error) error {
	switch state := s.record.State; {
	case errors.Is(readErr, os.ErrNotExist):
		return m.removeUnrecorded(s)
	case readErr != nil:
		return readErr
	case state.hasMachine():
		return m.adopt(ctx, s)
	case state == Paused, state == Resuming:
		m.takePaused(s)
		return nil
	case state == Creating, state == Killing:
		s.logger(m.log).Info("clearing away a sandbox that was never finished, or already being killed", "state", state)
		return os.RemoveAll(s.dir)
	default:
		return fmt.Errorf("its record says that it is %q, which this host agent does not know", state)
	}
}

// removeUnrecorded removes a sandbox whose creation was never acknowledged. One
// that has a snapshot of its own was.
func (m *Manager) removeUnrecorded(s *sandbox) error {
	snapshots, err := filepath.Glob(filepath.Join(s.dir, snapshotPrefix+"*"))
	if err != nil {
		return err
	}
	if len(snapshots) > 0 {
		return errors.New("its record is missing")
	}
	return os.RemoveAll(s.dir)
}

// takePaused keeps a sandbox as its last pause left it. A resume that was under
// way never happened.
func (m *Manager) takePaused(s *sandbox) {
	changed := s.record.State != Paused || s.record.running != running{}
	s.record.State, s.record.running = Paused, running{}
	var err error
	if s.base, err = openOwn(filepath.Join(s.dir, s.record.Snapshot)); err != nil {
		m.keepFailed(s, err)
		return
	}
	err = s.removeAllBut(recordFile, s.record.Snapshot)
	if changed {
		err = errors.Join(err, s.journal())
	}
	if err != nil { // the next agent does it
		s.logger(m.log).Error("clear away what a paused sandbox does not need", "error", err)
	}
	m.keep(s)
}

// keepFailed keeps a sandbox that cannot be used, with the reason, until its
// owner has seen it and kills it, or the next agent finds it mended.
func (m *Manager) keepFailed(s *sandbox, reason error) {
	s.record.State, s.record.Reason = Failed, m.withoutPaths(reason.Error())
	s.logger(m.log).Error("sandbox cannot be used", "error", reason)
	m.keep(s)
}

// withoutPaths takes out of a text what its reader, whose sandbox it is about, need
// not know: where this host keeps its data.
func (m *Manager) withoutPaths(text string) string {
	return strings.ReplaceAll(text, filepath.Dir(m.dir)+string(filepath.Separator), "")
}

// keep makes a sandbox known that was found.
func (m *Manager) keep(s *sandbox) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.sandboxes[s.id] = s
}

// removeAllBut clears a sandbox's directory of what a crash left there.
func (s *sandbox) removeAllBut(keep ...string) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if slices.Contains(keep, entry.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) reportRecovery() {
	counts := make(map[State]int)
	for _, info := range m.List() {
		counts[info.State]++
	}
	if len(counts) > 0 {
		m.log.Info("sandboxes found", "running", counts[Running]+counts[Pausing], "paused", counts[Paused], "failed", counts[Failed])
	}
}

func closedChannel() chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}

// openOwn opens a snapshot of a sandbox. Of one whose guest agent knows a secret
// that was not kept, which earlier versions took from the control plane, only the
// disk can be used.
func openOwn(directory string) (*snapshot.Snapshot, error) {
	opened, err := snapshot.Open(directory)
	if err == nil && opened.Secret == "" {
		opened.DiskOnly = true
	}
	return opened, err
}
