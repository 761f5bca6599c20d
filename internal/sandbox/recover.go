package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// recover makes sense of what the last agent left: a paused sandbox is taken
// over, a VM that still runs is ended with its sandbox, rubbish is removed.
func (m *Manager) recover(ctx context.Context) error {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return fmt.Errorf("read sandbox directory: %w", err)
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !idPattern.MatchString(entry.Name()) {
			m.log.Warn("foreign entry in the sandbox directory is left alone", "name", entry.Name())
			continue
		}
		if err := m.recoverSandbox(ctx, entry.Name()); err != nil {
			return fmt.Errorf("recover sandbox %s: %w", entry.Name(), err)
		}
	}
	return nil
}

func (m *Manager) recoverSandbox(ctx context.Context, id string) error {
	s := &sandbox{id: id, dir: m.sandboxDir(id)}
	kept, err := loadRecord(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		// Its creation was never acknowledged.
		return os.RemoveAll(s.dir)
	}
	if err != nil {
		s.record.State, s.reason = Failed, err.Error()
		m.sandboxes[id] = s
		s.logger(m.log).Error("sandbox record cannot be read", "error", err)
		return nil
	}
	s.record = kept
	if err := endProcess(ctx, kept.ProcessID, kept.ProcessStart); err != nil {
		return err
	}
	if kept.State != Paused {
		s.logger(m.log).Warn("sandbox was running when the host agent died and is gone", "state", kept.State)
		return os.RemoveAll(s.dir)
	}
	if err := s.removeAllBut(recordFile, kept.Snapshot); err != nil {
		return err
	}
	s.base, err = snapshot.Open(filepath.Join(s.dir, kept.Snapshot))
	if err != nil {
		s.record.State, s.reason = Failed, err.Error()
		s.logger(m.log).Error("paused sandbox cannot be read", "error", err)
	}
	m.sandboxes[id] = s
	return nil
}

// removeAllBut clears a paused sandbox's directory of what a crash left there.
func (s *sandbox) removeAllBut(keep ...string) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		kept := false
		for _, name := range keep {
			kept = kept || entry.Name() == name
		}
		if kept {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// endProcess kills a VMM left by an earlier agent and waits until it is gone.
// The start time tells it from a stranger that has its number now.
func endProcess(ctx context.Context, pid int, start uint64) error {
	if pid == 0 {
		return nil
	}
	const pollEvery = 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	for {
		current, err := processStart(pid)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) || current != start {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for process %d to end: %w", pid, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}
