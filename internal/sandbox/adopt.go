package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	// adoptTimeout bounds how long a VM's monitor may take to answer.
	adoptTimeout = 10 * time.Second
	// adoptPatience is how long it is asked again, adoptEvery how often.
	adoptPatience = 2 * time.Minute
	adoptEvery    = time.Second
)

// adopt takes over a sandbox whose VM ran on without an agent. One that was
// caught in a pause is let run on: its pause was never acknowledged. A VM that
// cannot be taken over now, on a host that is short of everything perhaps, is
// asked again in the background; only what has ended is put away.
func (m *Manager) adopt(ctx context.Context, s *sandbox) error {
	interrupted := s.record.State != Running
	err := m.takeOver(ctx, s)
	switch {
	case err == nil:
		m.goOnAdopted(s, interrupted)
		return nil
	case errors.Is(err, vmm.ErrNotRunning):
		m.letGo(s)
		return m.keepFound(ctx, s, err)
	case ctx.Err() != nil:
		m.letGo(s)
		return ctx.Err() // the VM runs on for the next agent
	}
	s.logger(m.log).Warn("a sandbox cannot be taken over yet", "error", err)
	ctx, op := s.enter(context.WithoutCancel(ctx), Resuming)
	m.keep(s)
	m.tasks.Go(func() { m.adoptPatiently(ctx, op, interrupted, err) })
	return nil
}

// takeOver finds all that the VM holds of the host. What it has found it does not
// look for again.
func (m *Manager) takeOver(ctx context.Context, s *sandbox) (err error) {
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	if !s.record.Process.Runs() {
		return fmt.Errorf("%w: no host agent saw it end", vmm.ErrNotRunning)
	}
	if s.guest == nil {
		s.guest = &guest{
			secret: s.record.Secret, lifecycleID: s.record.LifecycleID, environment: s.record.Environment,
			caBundle: s.caBundle(), mounts: s.volumeMounts(),
		}
	}
	g := s.guest
	if g.slot == nil {
		if g.slot, err = m.network.Adopt(s.record.Slot); err != nil {
			return err
		}
		g.envd = envdclient.New(g.slot.Address())
	}
	if g.group == nil {
		if g.group, err = m.cgroups.Find(s.record.Cgroup); err != nil {
			return err
		}
	}
	if g.machine, err = m.driver.Adopt(ctx, s.spec(g), s.memoryPath(), s.record.Process); err != nil {
		g.machine = nil
		return err
	}
	if err := g.machine.Resume(ctx); err != nil { // it may stand still: for a pause, or for want of room
		return err
	}
	s.adoptMeter()
	// Its calls have waited since the last agent ended.
	if err := m.serveVolumes(ctx, s, g); err != nil {
		s.logger(m.log).Error("serve the volumes of a sandbox again", "error", err)
	}
	m.restorePolicy(ctx, s)
	if err := s.removeAllBut(recordFile, liveMemory, liveDisk, runDirectory, s.record.Snapshot); err != nil {
		s.logger(m.log).Error("clear away what a crash left", "error", err)
	}
	return nil
}

// letGo forgets what takeOver has found, and leaves it as it is.
func (m *Manager) letGo(s *sandbox) {
	if s.guest == nil {
		return
	}
	if s.guest.machine != nil {
		s.guest.machine.Release()
	}
	s.guest.group.Release()
	s.guest = nil
}

// goOnAdopted publishes a sandbox that was taken over at once. What interrupted a
// pause is finished in the background: the guest may take its time to answer, and
// other sandboxes need not wait for it.
func (m *Manager) goOnAdopted(s *sandbox, interrupted bool) {
	ctx, op := s.enter(context.Background(), Resuming)
	m.keep(s)
	if !interrupted {
		m.publish(op, Running, "")
		return
	}
	m.tasks.Go(func() { m.undoPause(ctx, op) })
}

// undoPause lets a guest run on whose pause or snapshot nobody finished.
func (m *Manager) undoPause(ctx context.Context, op *operation) {
	err := m.abandonPause(ctx, op, errors.New("the host agent ended meanwhile"), op.sandbox.guest.wakeAgent)
	op.sandbox.logger(m.log).Info("a pause that was under way is undone", "result", err)
}

// adoptPatiently goes on trying until the VM can be taken over, has ended, or
// patience or ctx has.
func (m *Manager) adoptPatiently(ctx context.Context, op *operation, interrupted bool, err error) {
	s := op.sandbox
	patience, cancel := context.WithTimeout(ctx, adoptPatience)
	defer cancel()
	for err != nil && !errors.Is(err, vmm.ErrNotRunning) && patience.Err() == nil {
		select {
		case <-m.left:
			m.letGo(s)
			m.publish(op, Failed, "the host agent ended before it could take the sandbox over")
			return
		case <-patience.Done():
		case <-time.After(adoptEvery):
			err = m.takeOver(patience, s)
		}
	}
	switch {
	case err == nil && interrupted:
		m.undoPause(ctx, op)
	case err == nil:
		m.publish(op, Running, "")
		s.logger(m.log).Info("a sandbox is taken over at last")
	default:
		m.giveUpAdoption(op, err)
	}
}

// giveUpAdoption ends a VM that nobody can speak to, and keeps its disk.
func (m *Manager) giveUpAdoption(op *operation, cause error) {
	s := op.sandbox
	ctx, cancel := context.WithTimeout(context.Background(), pauseTimeout)
	defer cancel()
	if err := s.record.Process.End(ctx); err != nil {
		s.logger(m.log).Error("end a VM that cannot be taken over", "error", err)
	}
	m.keepAfterDeath(ctx, op, cause.Error())
}

// restorePolicy brings back what ended with the last agent: the gateway of a
// policy that decides by name. Where it cannot, the guest stays closed by name.
func (m *Manager) restorePolicy(ctx context.Context, s *sandbox) {
	policy, err := s.policy()
	if err == nil {
		err = s.guest.slot.Apply(ctx, policy)
	}
	if err != nil {
		s.logger(m.log).Error("restore the network policy of a sandbox", "error", err)
	}
}

// wakeAgent undoes all that quieted a guest whose virtual CPUs run again.
func (g *guest) wakeAgent(ctx context.Context) error {
	// Nobody knows how far a pause without memory had come.
	if err := g.unlessDead(ctx, func(ctx context.Context) error { return g.envd.ThawFilesystem(ctx, g.secret) }); err != nil {
		return err
	}
	// A life of its own makes it count whatever the host's clock did meanwhile.
	return g.wakeAs(ctx, rand.Text())
}

// wakeAs tells the guest's agent which life this is, and with it all that it may
// have missed.
func (g *guest) wakeAs(ctx context.Context, lifecycleID string) error {
	g.lifecycleID = lifecycleID
	err := g.initialise(ctx, g.secret)
	if err == nil {
		g.wake = nil
	}
	return err
}

// Leave ends the manager but not the VMs, which the next one adopts. What is
// under way is finished first.
func (m *Manager) Leave() {
	m.closed.Store(true)
	close(m.left)
	for _, s := range m.all() {
		// Every operation has a time limit of its own.
		_ = s.awaitSettled(context.Background())
	}
	if err := m.warm.close(); err != nil {
		m.log.Error("end clones held ready", "error", err)
	}
	m.sampler.close()
	m.tender.close()
	m.tasks.Wait()
	for _, s := range m.all() {
		if s.guest != nil {
			s.guest.stopServing()
		}
		m.letGo(s)
	}
}

var _ slots = (*network.Pool)(nil)
