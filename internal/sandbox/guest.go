package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/nfs"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// guest is a sandbox's running VM and what it holds of the host.
type guest struct {
	machine vmm.Machine
	slot    *network.Slot
	envd    *envdclient.Client
	secret  string // authenticates the host to its agent in this life

	// What it was told last.
	lifecycleID string
	environment map[string]string // nil where it is not known
	caBundle    string
	mounts      []envdclient.VolumeMount

	files *nfs.Server // of its volumes; nil without any

	held bool // it stands still while the host's disk is nearly full
	// wake tells its agent what it has not heard yet; nil for nothing.
	wake  func(context.Context) error
	wakes attempts

	group       *cgroup.Group // that the VM is in
	question    question      // guarded by the sandbox's mutex
	clockIsLate atomic.Bool   // it is told the time when it is asked next
}

const (
	// initTimeout bounds how long a restored guest may take to answer.
	initTimeout = 60 * time.Second
	// stopTimeout bounds how long the kernel may take to end a killed VMM.
	stopTimeout = 30 * time.Second
	defaultUser = "user"
)

// startGuest makes s.base a live VM and gives it its identity. On error nothing
// of it is left.
func (m *Manager) startGuest(ctx context.Context, s *sandbox, identity Identity) (_ *guest, err error) {
	if err := s.base.Check(); err != nil {
		return nil, err
	}
	if err := s.shareFiles(); err != nil {
		return nil, errors.Join(err, s.removeFiles())
	}
	slot, err := m.acquireSlot(ctx, s)
	if err != nil {
		return nil, errors.Join(err, s.removeFiles())
	}
	g := &guest{slot: slot, envd: envdclient.New(slot.Address())}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.stopGuest(s, g))
		}
	}()
	if err := m.serveVolumes(ctx, s, g); err != nil {
		return nil, err
	}
	if g.group, err = m.cgroups.Create(s.id, m.limits(s)); err != nil {
		return nil, err
	}
	if err := m.start(ctx, s, g); err != nil {
		return nil, err
	}
	return g, g.become(ctx, s, identity, s.base.Secret)
}

// become gives a guest, just started, its identity, and the agent in it the secret
// that the host shows in this life. earlierSecret is that of the life before, which
// can be read in every guest that is started from the same snapshot; it is empty for
// an agent that has just begun.
func (g *guest) become(ctx context.Context, s *sandbox, identity Identity, earlierSecret string) error {
	g.secret, g.lifecycleID, g.environment = rand.Text(), identity.LifecycleID, s.record.Environment
	g.caBundle, g.mounts = s.caBundle(), s.volumeMounts()
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	if err := g.initialise(ctx, earlierSecret); err != nil {
		return fmt.Errorf("give the guest its identity: %w", err)
	}
	return nil
}

// initialise calls /init. A guest whose clock is late by it is told the time again
// when it is asked how it is: nobody shall wait for that.
func (g *guest) initialise(ctx context.Context, knownSecret string) error {
	return g.unlessDead(ctx, func(ctx context.Context) error {
		lag, err := g.envd.Init(ctx, knownSecret, envdclient.Init{
			Secret:      g.secret,
			EnvVars:     g.environment,
			LifecycleID: g.lifecycleID,
			DefaultUser: defaultUser,
			CABundle:    g.caBundle,

			VolumeMounts: g.mounts,
		})
		g.clockIsLate.Store(lag > envdclient.MaxClockLag)
		return err
	})
}

// unlessDead calls the guest and gives up at once if its VM dies meanwhile.
func (g *guest) unlessDead(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case <-g.machine.Done():
			cancel(fmt.Errorf("%w: %s", vmm.ErrNotRunning, g.machine.ExitReason()))
		case <-stop:
		}
	}()
	defer func() { close(stop); <-watching }()
	return blameGuest(ctx, call(ctx))
}

// GuestError is a failure of a guest's agent: the request was not cancelled, and the VM
// still ran.
type GuestError struct{ cause error }

// Error says what went wrong.
func (e *GuestError) Error() string { return e.cause.Error() }

// Unwrap returns what went wrong.
func (e *GuestError) Unwrap() error { return e.cause }

func blameGuest(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, vmm.ErrNotRunning) || errors.Is(context.Cause(ctx), context.Canceled) {
		return err
	}
	return &GuestError{cause: err}
}

// stopGuest ends a VM and frees what it held, its live disk included. It does
// not take a context: half-stopped is not a state.
func (m *Manager) stopGuest(s *sandbox, g *guest) error {
	return errors.Join(m.freeGuest(s, g), s.removeFiles())
}

// freeGuest is stopGuest but for the sandbox's files.
func (m *Manager) freeGuest(s *sandbox, g *guest) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.endMeter()
	var err error
	if g.machine != nil {
		err = g.machine.Kill(ctx)
	}
	err = errors.Join(err, g.group.Remove(ctx))
	m.disconnect(s.id)
	g.stopServing()
	if g.slot != nil {
		m.network.Release(g.slot)
	}
	return err
}

func (s *sandbox) spec(g *guest) vmm.Spec {
	return vmm.Spec{
		Name:             s.id,
		RunDir:           s.runDir(),
		User:             g.slot.User(),
		VCPUCount:        s.record.VCPUCount,
		MemoryMiB:        s.record.MemoryMiB,
		DiskPath:         s.diskPath(),
		NetworkNamespace: g.slot.Namespace(),
		TapDevice:        network.TapDevice,
		GuestMAC:         network.GuestMAC,
		Cgroup:           g.group.Directory(),
	}
}

// source is what a snapshot of the running guest is taken of.
func (s *sandbox) source() snapshot.Source {
	return snapshot.Source{Machine: s.guest.machine, MemoryPath: s.memoryPath(), DiskPath: s.diskPath()}
}
