package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// clone is a guest of a sandbox that nobody has asked for yet: restored from a
// template, run for a moment so that what every first command needs is in its
// memory, and stopped again.
type clone struct {
	*sandbox
	memoryBytes int64 // the host's memory that it takes by itself
}

const (
	// warmDirectory holds clones, in the directory of sandboxes: they become
	// sandboxes by a rename, and a VM of one that is lost is found below it.
	warmDirectory = ".warm"
	// warmCommand touches what nearly every sandbox runs first.
	warmCommand = "python3 -c pass"
	// warmTimeout bounds how long a clone may take to get ready.
	warmTimeout = time.Minute
)

func (m *Manager) warmDir() string { return filepath.Join(m.dir, warmDirectory) }

// makeClone starts a guest, warms it up and stops it. On error nothing is left.
func (m *Manager) makeClone(ctx context.Context, base *snapshot.Snapshot) (_ *clone, err error) {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	name := "warm-" + strings.ToLower(rand.Text())
	s := &sandbox{id: name, dir: filepath.Join(m.warmDir(), name), base: base, record: newRecord(base)}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of a clone: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	// This life ends with the clone's first resume.
	s.guest, err = m.startGuest(ctx, s, Identity{LifecycleID: rand.Text()})
	if err != nil {
		return nil, err
	}
	made := &clone{sandbox: s}
	if err := made.warm(ctx); err != nil {
		return nil, errors.Join(err, m.stopGuest(s, s.guest))
	}
	return made, nil
}

// warm runs what every sandbox runs, and leaves the guest quiet and stopped.
func (c *clone) warm(ctx context.Context) (err error) {
	if err := c.guest.envd.Run(ctx, c.guest.secret, warmCommand); err != nil {
		return fmt.Errorf("warm a clone up: %w", err)
	}
	if err := c.guest.quiet(ctx, envdclient.Preparation{}); err != nil {
		return fmt.Errorf("quiet a clone: %w", err)
	}
	if err := c.guest.machine.Pause(ctx); err != nil {
		return err
	}
	c.memoryBytes, err = proportionalMemory(c.guest.machine.Process().ID)
	return err
}

// lives says whether the clone's VM is still there.
func (c *clone) lives() bool {
	select {
	case <-c.guest.machine.Done():
		return false
	default:
		return true
	}
}

// dropClone ends a clone that nobody is to have.
func (m *Manager) dropClone(c *clone) error {
	return errors.Join(m.stopGuest(c.sandbox, c.guest), os.RemoveAll(c.dir))
}

// awaken makes a clone the guest of a sandbox that is being created. On error
// nothing is left of either.
func (m *Manager) awaken(ctx context.Context, s *sandbox, c *clone, identity Identity) (err error) {
	if err := os.Rename(c.dir, s.dir); err != nil {
		return errors.Join(fmt.Errorf("take over a clone: %w", err), m.dropClone(c))
	}
	g := c.guest
	defer func() {
		if err != nil {
			s.guest = nil
			err = errors.Join(err, m.stopGuest(s, g), os.RemoveAll(s.dir))
		}
	}()
	if err := s.journal(); err != nil {
		return err
	}
	if err := s.applyPolicy(ctx, g.slot); err != nil {
		return err
	}
	if err := m.serveVolumes(ctx, s, g); err != nil {
		return err
	}
	if err := g.machine.Resume(ctx); err != nil {
		return err
	}
	if err := g.become(ctx, s, identity, g.secret); err != nil {
		return err
	}
	s.guest = g
	return m.noteRunning(s, s.record.StartedAt)
}
