package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// CreateRequest asks for a new sandbox.
type CreateRequest struct {
	ID       string
	BuildID  string
	Identity Identity
	// Network is what the guest may reach; zero is the whole internet.
	Network egress.Spec
	// Secrets are what the placeholders in Network stand for.
	Secrets egress.SecretValues
	// Workload is who the sandbox is in identity tokens.
	Workload workload.Identity
	Volumes  []VolumeMount
	// RequestID makes a request that is sent again find what the first one
	// made; empty means that there is no second one.
	RequestID string
}

// Create restores a template under a new identity. When it fails, or ctx ends
// first, nothing of the sandbox is left.
func (m *Manager) Create(ctx context.Context, wanted CreateRequest) (Info, error) {
	if !id.IsSandbox(wanted.ID) {
		return Info{}, fmt.Errorf("sandbox ID %q: want 8 to 40 lower-case letters and digits: %w", wanted.ID, ErrInvalid)
	}
	if _, err := egress.Parse(wanted.Network); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := m.checkVolumes(wanted.Volumes); err != nil {
		return Info{}, err
	}
	build, err := m.build(wanted.BuildID)
	if err != nil {
		return Info{}, err
	}
	return m.createFrom(ctx, wanted, build)
}

// createFrom is Create from any snapshot. A request that made its sandbox under
// an earlier agent finds it.
func (m *Manager) createFrom(ctx context.Context, wanted CreateRequest, base *snapshot.Snapshot) (Info, error) {
	return joined(ctx, &m.requests, request{"create", wanted.ID, wanted.RequestID}, func() (Info, error) {
		if made, err := m.find(wanted.ID); err == nil && wanted.RequestID != "" && made.madeBy() == wanted.RequestID {
			return made.info(), nil
		}
		info, err := m.createNew(ctx, wanted, base)
		m.creates.count(err)
		return info, err
	})
}

// madeBy is the ID of the request that made the sandbox.
func (s *sandbox) madeBy() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.record.RequestID
}

func (m *Manager) createNew(ctx context.Context, wanted CreateRequest, base *snapshot.Snapshot) (Info, error) {
	release, err := m.admitOrGiveBack(sizeOf(base))
	if err != nil {
		return Info{}, err
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	s := &sandbox{
		id: wanted.ID, dir: m.sandboxDir(wanted.ID), base: base,
		cancel: cancel, settled: make(chan struct{}),
		record: newRecord(base), signer: &m.signer,
	}
	s.record.Network, s.record.RequestID, s.record.Volumes = wanted.Network, wanted.RequestID, wanted.Volumes
	s.record.Workload = wanted.Workload
	s.record.Environment = overlaid(nil, wanted.Identity.EnvVars)
	s.secrets.Set(wanted.Secrets)
	if err := m.add(s); err != nil {
		cancel()
		return Info{}, err
	}
	op := &operation{sandbox: s, cancel: cancel}
	m.announce(s)
	if err := m.create(ctx, s, wanted.Identity); err != nil {
		op.step(Killing, err.Error())
		err = errors.Join(fmt.Errorf("create sandbox %s: %w", s.id, err), m.forget(s))
		m.publish(op, Gone, err.Error())
		return Info{}, err
	}
	m.publish(op, Running, "")
	s.logger(m.log).Info("sandbox created", "build", s.record.BuildID, "took", time.Since(s.record.StartedAt))
	return s.info(), nil
}

// create makes the directory, the VM and the record, in this order; or has them
// of a clone that is ready.
func (m *Manager) create(ctx context.Context, s *sandbox, identity Identity) error {
	ready, done := m.warm.begin(s.base)
	defer done()
	if ready != nil {
		err := m.awaken(ctx, s, ready, identity)
		if err == nil || ctx.Err() != nil {
			return err
		}
		s.logger(m.log).Warn("a clone that was held ready cannot be used", "error", err)
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return fmt.Errorf("make sandbox directory: %w", err)
	}
	if err := s.journal(); err != nil {
		return err
	}
	return m.run(ctx, s, identity, s.record.StartedAt)
}

// newRecord is what is known of a sandbox that is to be made of a snapshot.
func newRecord(base *snapshot.Snapshot) record {
	return record{
		BuildID: base.BuildID, State: Creating,
		VCPUCount: base.VCPUCount, MemoryMiB: base.MemoryMiB, DiskMiB: base.DiskMiB,
		EnvdVersion: base.EnvdVersion, StartedAt: time.Now().UTC(),
	}
}

// run starts the sandbox's VM and writes down that it runs, or undoes both.
func (m *Manager) run(ctx context.Context, s *sandbox, identity Identity, began time.Time) error {
	g, err := m.startGuest(ctx, s, identity)
	if err != nil {
		return err
	}
	s.guest = g
	if err := m.noteRunning(s, began); err != nil {
		s.guest = nil
		return errors.Join(err, m.stopGuest(s, g))
	}
	return nil
}

// noteRunning writes down that a VM runs, and begins to count for it.
func (m *Manager) noteRunning(s *sandbox, began time.Time) error {
	m.startMeter(s)
	s.mutex.Lock()
	s.record.StartedAt = began.UTC()
	s.mutex.Unlock()
	return s.note(Running, "")
}
