package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// forkPrefix starts the names of snapshots that live only while forks are made.
const forkPrefix = "fork-"

// SnapshotRequest asks for a snapshot of a running sandbox.
type SnapshotRequest struct {
	// BuildID, a UUID, is what others are created by.
	BuildID string
	// RequestID makes a request that is sent again find what the first one made;
	// empty means that there is no second one.
	RequestID string
	// WithoutMemory keeps the file system only: what is created from it boots.
	WithoutMemory bool
}

// Snapshot writes a running sandbox down, from which others can be created; the
// sandbox runs on, and its clients hardly notice.
func (m *Manager) Snapshot(ctx context.Context, id string, wanted SnapshotRequest) (*snapshot.Snapshot, error) {
	if parsed, err := uuid.Parse(wanted.BuildID); err != nil || parsed.String() != wanted.BuildID {
		return nil, fmt.Errorf("build ID %q is not a UUID: %w", wanted.BuildID, ErrInvalid)
	}
	s, err := m.findOpen(id)
	if err != nil {
		return nil, err
	}
	return joined(ctx, &m.requests, request{"snapshot", id, wanted.RequestID}, func() (*snapshot.Snapshot, error) {
		return m.snapshotOnce(ctx, s, wanted)
	})
}

func (m *Manager) snapshotOnce(ctx context.Context, s *sandbox, wanted SnapshotRequest) (*snapshot.Snapshot, error) {
	if made, err := m.build(wanted.BuildID); err == nil {
		if wanted.RequestID != "" && made.RequestID == wanted.RequestID {
			return made, nil
		}
		return nil, fmt.Errorf("build %s: %w", wanted.BuildID, ErrExists)
	}
	what := captured{SnapshotRequest: wanted, published: true}
	taken, err := m.capture(ctx, s, what, filepath.Join(m.snapshotDir, wanted.BuildID), snapshot.Take, nil)
	if err != nil {
		return nil, err
	}
	m.mutex.Lock()
	m.snapshots[wanted.BuildID] = taken
	m.mutex.Unlock()
	return taken, nil
}

// DeleteSnapshot deletes a sandbox's snapshot. What was created from it runs on.
func (m *Manager) DeleteSnapshot(buildID string) error {
	m.mutex.Lock()
	taken, found := m.snapshots[buildID]
	delete(m.snapshots, buildID)
	m.mutex.Unlock()
	if !found {
		return fmt.Errorf("snapshot %s: %w", buildID, ErrTemplateNotFound)
	}
	return taken.Remove()
}

// build finds what sandboxes can be started from: a template's build or a
// sandbox's snapshot.
func (m *Manager) build(buildID string) (*snapshot.Snapshot, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if template, ok := m.templates[buildID]; ok {
		return template, nil
	}
	if taken, ok := m.snapshots[buildID]; ok {
		return taken, nil
	}
	return nil, fmt.Errorf("%s: %w", buildID, ErrTemplateNotFound)
}

// captured is what is written down of a running sandbox.
type captured struct {
	SnapshotRequest
	published bool // others than the sandbox and its forks may start from it
}

// take is snapshot.Take or its like.
type take func(context.Context, snapshot.Source, snapshot.Manifest, string) (*snapshot.Snapshot, error)

// capture takes a snapshot of a running sandbox into a directory, and calls use,
// if there is any, as soon as it can be used. When the sandbox does not run on as
// before, the snapshot is removed unless it is in use: then it is returned with the
// error.
func (m *Manager) capture(
	ctx context.Context, s *sandbox, what captured, directory string, take take, use func(*snapshot.Snapshot),
) (*snapshot.Snapshot, error) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseTimeout)
	defer cancel()
	ctx, op, err := m.beginSettled(ctx, within, s, Snapshotting, "be snapshotted")
	if err != nil {
		return nil, err
	}
	m.announce(s)
	began := time.Now()
	taken, err := m.takeRunning(ctx, s, what, directory, take)
	goOnAgent := s.guest.goOnAgent
	if what.WithoutMemory {
		goOnAgent = s.guest.thawAndGoOn
	}
	if err == nil {
		if use != nil {
			use(taken)
		}
		err = s.guest.goOn(ctx, goOnAgent)
	}
	if err != nil {
		err = m.abandonPause(ctx, op, fmt.Errorf("take a snapshot of sandbox %s: %w", s.id, err), goOnAgent)
		if taken != nil && use == nil {
			return nil, errors.Join(err, taken.Remove())
		}
		return taken, err
	}
	m.settle(op, Running, "")
	s.logger(m.log).Info("snapshot taken", "build", what.BuildID, "took", time.Since(began))
	return taken, nil
}

// takeRunning stops the guest and writes it down, and leaves it stopped.
func (m *Manager) takeRunning(ctx context.Context, s *sandbox, what captured, directory string, take take) (*snapshot.Snapshot, error) {
	if err := s.journal(); err != nil {
		return nil, err
	}
	if err := s.guest.unhold(ctx); err != nil { // it has to answer
		return nil, err
	}
	quiet, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	how := envdclient.Preparation{KeepStreams: true, ForgetEnvironment: what.published && s.guest.environment != nil}
	if err := s.guest.quiet(quiet, how); err != nil {
		return nil, fmt.Errorf("quiet the guest: %w", err)
	}
	if what.WithoutMemory {
		if err := s.guest.freezeFilesystem(quiet); err != nil {
			return nil, err
		}
	}
	if err := s.guest.machine.Pause(ctx); err != nil {
		return nil, err
	}
	manifest := s.manifest()
	manifest.BuildID, manifest.RequestID, manifest.DiskOnly = what.BuildID, what.RequestID, what.WithoutMemory
	if !what.WithoutMemory {
		manifest.Secret = s.guest.secret
	}
	return take(ctx, s.source(), manifest, directory)
}

// goOn lets a guest run on in the life it had, its clients' streams included.
func (g *guest) goOn(ctx context.Context, goOnAgent func(context.Context) error) error {
	if err := g.machine.Resume(ctx); err != nil {
		return err
	}
	return goOnAgent(ctx)
}

// thawAndGoOn is goOnAgent for a guest whose file system was frozen.
func (g *guest) thawAndGoOn(ctx context.Context) error {
	thaw, cancel := context.WithTimeout(ctx, wakeTimeout)
	defer cancel()
	if err := g.unlessDead(thaw, func(ctx context.Context) error { return g.envd.ThawFilesystem(ctx, g.secret) }); err != nil {
		return err
	}
	return g.goOnAgent(ctx)
}

// freezeFilesystem has the guest write out its file system and hold still what
// would change it.
func (g *guest) freezeFilesystem(ctx context.Context) error {
	if err := g.unlessDead(ctx, func(ctx context.Context) error { return g.envd.FreezeFilesystem(ctx, g.secret) }); err != nil {
		return fmt.Errorf("have the guest write out its file system: %w", err)
	}
	return nil
}

// goOnAgent undoes what quieted a guest that keeps its clients.
func (g *guest) goOnAgent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wakeTimeout)
	defer cancel()
	if err := g.unlessDead(ctx, func(ctx context.Context) error { return g.envd.Unfreeze(ctx, g.secret) }); err != nil {
		return err
	}
	return g.wakeAs(ctx, g.lifecycleID)
}

// openSnapshots finds the snapshots of sandboxes, and removes those that were
// never finished or only meant for forks.
func (m *Manager) openSnapshots() error {
	if err := os.MkdirAll(m.snapshotDir, 0o700); err != nil {
		return fmt.Errorf("make snapshot directory: %w", err)
	}
	entries, err := os.ReadDir(m.snapshotDir)
	if err != nil {
		return fmt.Errorf("read snapshot directory: %w", err)
	}
	var failures []error
	for _, entry := range entries {
		path := filepath.Join(m.snapshotDir, entry.Name())
		unfinished := strings.HasPrefix(entry.Name(), forkPrefix) || snapshot.IsUnfinished(entry.Name())
		taken, err := openOwn(path)
		switch {
		case unfinished, errors.Is(err, os.ErrNotExist):
			failures = append(failures, os.RemoveAll(path))
		case err != nil:
			m.log.Error("snapshot cannot be read", "name", entry.Name(), "error", err)
		default:
			m.snapshots[taken.BuildID] = taken
		}
	}
	return errors.Join(failures...)
}
