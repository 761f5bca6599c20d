package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
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
	Volumes []VolumeMount
	// RequestID makes a request that is sent again find what the first one
	// made; empty means that there is no second one.
	RequestID string
}

// Create restores a template under a new identity. When it fails, or ctx ends
// first, nothing of the sandbox is left.
func (m *Manager) Create(ctx context.Context, request CreateRequest) (Info, error) {
	if !idPattern.MatchString(request.ID) {
		return Info{}, fmt.Errorf("sandbox ID %q: want 8 to 40 lower-case letters and digits: %w", request.ID, ErrInvalid)
	}
	if _, err := egress.Parse(request.Network); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := m.checkVolumes(request.Volumes); err != nil {
		return Info{}, err
	}
	build, err := m.build(request.BuildID)
	if err != nil {
		return Info{}, err
	}
	return m.createFrom(ctx, request, build)
}

// createFrom is Create from any snapshot.
func (m *Manager) createFrom(ctx context.Context, request CreateRequest, base *snapshot.Snapshot) (_ Info, err error) {
	if info, found, err := m.findRequest(ctx, request); found {
		return info, err
	}
	defer func() { m.creates.count(err) }()
	release, err := m.admitOrGiveBack(sizeOf(base))
	if err != nil {
		return Info{}, err
	}
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	s := &sandbox{
		id: request.ID, dir: m.sandboxDir(request.ID), base: base,
		cancel: cancel, settled: make(chan struct{}),
		record: newRecord(base),
	}
	s.record.Network, s.record.RequestID, s.record.Volumes = request.Network, request.RequestID, request.Volumes
	s.secrets.Set(request.Secrets)
	if err := m.add(s); err != nil {
		cancel()
		return Info{}, err
	}
	op := &operation{sandbox: s, cancel: cancel}
	m.announce(s)
	if err := m.create(ctx, s, request.Identity); err != nil {
		op.step(Killing, err.Error())
		err = errors.Join(fmt.Errorf("create sandbox %s: %w", s.id, err), m.forget(s))
		op.step(Gone, err.Error())
		m.announce(s)
		return Info{}, err
	}
	op.step(Running, "")
	m.watchGuest(s)
	m.announce(s)
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
	return m.run(ctx, s, identity, s.base.AccessToken)
}

// newRecord is what is known of a sandbox that is to be made of a snapshot.
func newRecord(base *snapshot.Snapshot) record {
	return record{
		BuildID: base.BuildID, State: Creating,
		VCPUCount: base.VCPUCount, MemoryMiB: base.MemoryMiB, DiskMiB: base.DiskMiB,
		EnvdVersion: base.EnvdVersion, StartedAt: time.Now().UTC(),
	}
}

// findRequest answers for a request that came before: with what it made, or
// once that is known.
func (m *Manager) findRequest(ctx context.Context, request CreateRequest) (info Info, found bool, err error) {
	s, err := m.find(request.ID)
	if err != nil || request.RequestID == "" {
		return Info{}, false, nil
	}
	s.mutex.Lock()
	same, settled := s.record.RequestID == request.RequestID, s.settled
	s.mutex.Unlock()
	if !same {
		return Info{}, false, nil
	}
	select {
	case <-settled:
	case <-ctx.Done():
		return Info{}, true, fmt.Errorf("wait for the first request to create sandbox %s: %w", request.ID, ctx.Err())
	}
	if info := s.info(); info.State != Gone {
		return info, true, nil
	}
	return Info{}, true, fmt.Errorf("create sandbox %s: %w: %s", request.ID, ErrNotFound, s.info().Reason)
}

// run starts the sandbox's VM and records that it runs, or undoes both.
// currentToken is the token the snapshot knows.
func (m *Manager) run(ctx context.Context, s *sandbox, identity Identity, currentToken string) error {
	g, err := m.startGuest(ctx, s, identity, currentToken)
	if err != nil {
		return err
	}
	s.guest = g
	if err := m.saveRunning(s); err != nil {
		s.guest = nil
		return errors.Join(err, m.stopGuest(s, g))
	}
	return nil
}

// saveRunning records that a VM runs, and how the next agent finds it.
func (m *Manager) saveRunning(s *sandbox) error {
	m.startMeter(s)
	s.mutex.Lock()
	s.record.running = running{
		Process: s.guest.machine.Process(), Slot: s.guest.slot.Name(), Token: s.guest.token, LifecycleID: s.guest.lifecycleID,
		Cgroup: s.guest.group.Name(), Meter: s.meter.start,
	}
	kept := s.record
	s.mutex.Unlock()
	kept.State = Running
	return kept.save(s.dir)
}
