package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// SnapshotRequest asks for a snapshot of a running sandbox.
type SnapshotRequest struct {
	// BuildID, a UUID, is what other sandboxes are created by.
	BuildID string
	// RequestID makes a request that is sent again find the snapshot of the first one;
	// empty for a request that is never sent again.
	RequestID string
	// WithoutMemory keeps the file system only: what is created from it boots.
	WithoutMemory bool
}

// Snapshot takes a snapshot of a running sandbox, from which others can be created. The
// sandbox runs on and keeps its clients.
func (m *Manager) Snapshot(ctx context.Context, id string, wanted SnapshotRequest) (*snapshot.Snapshot, error) {
	if parsed, err := uuid.Parse(wanted.BuildID); err != nil || parsed.String() != wanted.BuildID {
		return nil, fmt.Errorf("build ID %q is not a UUID: %w", wanted.BuildID, ErrInvalid)
	}
	s, err := m.host.findOpen(id)
	if err != nil {
		return nil, err
	}
	return request.Join(ctx, &m.requests, request.Key{Call: "snapshot", SandboxID: id, RequestID: wanted.RequestID}, func() (*snapshot.Snapshot, error) {
		return m.snapshotOnce(ctx, s, wanted)
	})
}

func (m *Manager) snapshotOnce(ctx context.Context, s *sandbox, wanted SnapshotRequest) (*snapshot.Snapshot, error) {
	if made, err := m.catalog.Find(wanted.BuildID); err == nil {
		if wanted.RequestID != "" && made.RequestID == wanted.RequestID {
			return made, nil
		}
		return nil, fmt.Errorf("build %s: %w", wanted.BuildID, ErrExists)
	}
	taken, err := s.capture(ctx, capture{SnapshotRequest: wanted, published: true, directory: m.catalog.Path(wanted.BuildID)})
	if err != nil {
		return nil, err
	}
	m.catalog.Add(taken)
	return taken, nil
}

// capture is a snapshot of a sandbox that runs on.
type capture struct {
	SnapshotRequest
	directory string
	// published: others than the sandbox and its forks may start from it.
	published bool
	// use is called as soon as the snapshot can be used, before the sandbox runs on; nil
	// for a snapshot that is durable and used later.
	use func(*snapshot.Snapshot)
}

// capture takes a snapshot of a running sandbox. When the sandbox does not run on as
// before, the snapshot is removed unless it is in use: then it is returned with the error.
func (s *sandbox) capture(ctx context.Context, what capture) (*snapshot.Snapshot, error) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseTimeout)
	defer cancel()
	ctx, op, err := s.beginSettled(ctx, within, state.Snapshotting, "be snapshotted")
	if err != nil {
		return nil, err
	}
	op.announce()
	began := time.Now()
	taken, err := op.takeRunning(ctx, what)
	wake := guest.Wake(op.guest.WakeAfterSnapshot)
	if what.WithoutMemory {
		wake = op.guest.WakeAfterDiskSnapshot
	}
	if err == nil {
		if what.use != nil {
			what.use(taken)
		}
		err = op.runOn(ctx, wake)
	}
	if err != nil {
		err = op.undoPause(ctx, fmt.Errorf("take a snapshot of sandbox %s: %w", s.id, err), wake)
		if taken != nil && what.use == nil {
			return nil, errors.Join(err, taken.Remove())
		}
		return taken, err
	}
	op.settle(state.Running, "")
	s.log().InfoContext(ctx, "snapshot taken", "build", what.BuildID, "took", time.Since(began))
	return taken, nil
}

// runOn lets a stopped guest run on in the life it had.
func (o *operation) runOn(ctx context.Context, wake guest.Wake) error {
	if err := o.guest.Continue(ctx); err != nil {
		return err
	}
	return wake(ctx)
}

// takeRunning stops the guest, takes the snapshot, and leaves the guest stopped.
func (o *operation) takeRunning(ctx context.Context, what capture) (*snapshot.Snapshot, error) {
	if err := o.journal(); err != nil {
		return nil, err
	}
	if err := o.guest.Unhold(ctx); err != nil { // it has to answer
		return nil, err
	}
	quiet, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	how := envdclient.Preparation{KeepStreams: true, ForgetEnvironment: what.published && o.guest.HasEnvironment()}
	if err := o.guest.Quiet(quiet, how); err != nil {
		return nil, fmt.Errorf("quiet the guest: %w", err)
	}
	if what.WithoutMemory {
		if err := o.guest.FreezeFilesystem(quiet); err != nil {
			return nil, err
		}
	}
	if err := o.guest.Stop(ctx); err != nil {
		return nil, err
	}
	manifest := o.record.Manifest()
	manifest.BuildID, manifest.RequestID, manifest.DiskOnly = what.BuildID, what.RequestID, what.WithoutMemory
	if !what.WithoutMemory {
		manifest.Secret = o.guest.Secret()
	}
	if what.use != nil {
		return snapshot.TakeTransient(ctx, o.guest.Source(), manifest, what.directory)
	}
	return snapshot.Take(ctx, o.guest.Source(), manifest, what.directory)
}
