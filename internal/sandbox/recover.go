package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// recover makes sense of what the last agent left: what runs is adopted, what
// was under way is rolled back, paused sandboxes are kept, rubbish is removed.
func (m *Manager) recover(ctx context.Context) error {
	found, err := m.readRecords()
	if err != nil {
		return err
	}
	if err := m.endOrphans(ctx, found); err != nil {
		return err
	}
	if err := os.RemoveAll(m.warmDir()); err != nil {
		return fmt.Errorf("clear away clones that were held ready: %w", err)
	}
	for id, kept := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.recoverSandbox(ctx, id, kept); err != nil {
			return fmt.Errorf("recover sandbox %s: %w", id, err)
		}
	}
	if err := errors.Join(m.removeOrphanGroups(ctx), m.network.RemoveLeftovers(), m.openSnapshots()); err != nil {
		return err
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
		if !idPattern.MatchString(entry.Name()) {
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
		if kept.claimsProcess() {
			claimed = append(claimed, kept.Process)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for _, process := range running {
		if slices.Contains(claimed, process) {
			continue
		}
		m.log.Warn("ending a VM that belongs to no running sandbox", "pid", process.ID)
		if err := process.End(ctx); err != nil {
			return err
		}
	}
	return nil
}

// claimsProcess: a sandbox of which a snapshot was being taken still runs,
// stopped perhaps.
func (k keptRecord) claimsProcess() bool {
	return k.err == nil && (k.State == Running || k.State == Pausing || k.State == Snapshotting)
}

func (m *Manager) recoverSandbox(ctx context.Context, id string, kept keptRecord) error {
	s := &sandbox{id: id, dir: m.sandboxDir(id), record: kept.record, settled: closedChannel()}
	switch {
	case errors.Is(kept.err, os.ErrNotExist):
		return os.RemoveAll(s.dir) // its creation was never acknowledged
	case kept.err != nil:
		m.addFailed(s, kept.err)
		return nil
	}
	switch kept.State {
	case Running, Pausing, Snapshotting:
		if err := m.adopt(ctx, s); err != nil {
			return m.keepFound(ctx, s, err)
		}
		return nil
	case Paused, Resuming:
		return m.takePaused(s)
	default:
		s.logger(m.log).Info("clearing away a sandbox that was never finished, or already being killed", "state", kept.State)
		return os.RemoveAll(s.dir)
	}
}

// takePaused keeps a sandbox as its last pause left it. A resume that was
// under way never happened.
func (m *Manager) takePaused(s *sandbox) error {
	s.record.State, s.record.running = Paused, running{}
	if err := s.removeAllBut(recordFile, s.record.Snapshot); err != nil {
		return err
	}
	var err error
	if s.base, err = snapshot.Open(filepath.Join(s.dir, s.record.Snapshot)); err != nil {
		m.addFailed(s, err)
		return nil
	}
	m.sandboxes[s.id] = s
	return s.journal()
}

// addFailed keeps a sandbox that cannot be used, with the reason, until its
// owner has seen it and kills it.
func (m *Manager) addFailed(s *sandbox, reason error) {
	s.record.State, s.record.Reason = Failed, reason.Error()
	s.logger(m.log).Error("sandbox cannot be read", "error", reason)
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
