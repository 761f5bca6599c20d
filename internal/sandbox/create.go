package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// CreateRequest asks for a new sandbox.
type CreateRequest struct {
	ID       string
	BuildID  string
	Identity Identity
	// Internet lets the guest reach public addresses.
	Internet bool
}

// Create restores a template under a new identity. When it fails, or ctx ends
// first, nothing of the sandbox is left.
func (m *Manager) Create(ctx context.Context, request CreateRequest) (Info, error) {
	if !idPattern.MatchString(request.ID) {
		return Info{}, fmt.Errorf("sandbox ID %q: want 8 to 40 lower-case letters and digits: %w", request.ID, ErrInvalid)
	}
	template, ok := m.templates[request.BuildID]
	if !ok {
		return Info{}, fmt.Errorf("%s: %w", request.BuildID, ErrTemplateNotFound)
	}
	if err := m.admit(template.MemoryMiB); err != nil {
		return Info{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &sandbox{
		id: request.ID, dir: m.sandboxDir(request.ID), base: template,
		cancel: cancel, settled: make(chan struct{}),
		record: record{
			BuildID: template.BuildID, State: Creating, Internet: request.Internet,
			VCPUCount: template.VCPUCount, MemoryMiB: template.MemoryMiB, DiskMiB: template.DiskMiB,
			EnvdVersion: template.EnvdVersion, StartedAt: time.Now().UTC(),
		},
	}
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

// create makes the directory, the VM and the record, in this order.
func (m *Manager) create(ctx context.Context, s *sandbox, identity Identity) error {
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return fmt.Errorf("make sandbox directory: %w", err)
	}
	if err := s.journal(); err != nil {
		return err
	}
	return m.run(ctx, s, identity, "")
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
	s.mutex.Lock()
	s.record.Process, s.record.Slot, s.record.Token = s.guest.machine.Process(), s.guest.slot.Name(), s.guest.token
	running := s.record
	s.mutex.Unlock()
	running.State = Running
	return running.save(s.dir)
}
