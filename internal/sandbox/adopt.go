package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// adoptTimeout bounds how long a VM's monitor may take to answer.
const adoptTimeout = 10 * time.Second

// adopt takes over a sandbox whose VM ran on without an agent. One that was
// caught in a pause is let run on: its pause was never acknowledged.
func (m *Manager) adopt(ctx context.Context, s *sandbox) error {
	ctx, cancel := context.WithTimeout(ctx, adoptTimeout)
	defer cancel()
	slot, err := m.network.Adopt(s.record.Slot)
	if err != nil {
		return err
	}
	g := &guest{slot: slot, envd: envdclient.New(slot.Address()), token: s.record.Token, lifecycleID: s.record.LifecycleID, caBundle: s.caBundle(), mounts: s.volumeMounts()}
	if g.group, err = m.cgroups.Find(s.record.Cgroup); err == nil {
		g.machine, err = m.driver.Adopt(ctx, s.spec(g), s.memoryPath(), s.record.Process)
	}
	if err != nil {
		m.network.Release(slot)
		g.group.Release()
		return err
	}
	s.guest = g
	s.adoptMeter()
	// Its calls have waited since the last agent ended.
	if err := m.serveVolumes(ctx, s, g); err != nil {
		s.logger(m.log).Error("serve the volumes of a sandbox again", "error", err)
	}
	m.restorePolicy(ctx, s)
	s.base, _ = m.build(s.record.BuildID)
	if s.record.Snapshot != "" {
		// It is only needed to be removed after the next pause.
		if s.base, err = snapshot.Open(filepath.Join(s.dir, s.record.Snapshot)); err != nil {
			s.logger(m.log).Error("the last snapshot of a running sandbox cannot be read", "error", err)
		}
	}
	if err := s.removeAllBut(recordFile, liveMemory, liveDisk, runDirectory, s.record.Snapshot); err != nil {
		s.logger(m.log).Error("clear away what a crash left", "error", err)
	}
	m.sandboxes[s.id] = s
	if s.record.State == Running {
		s.guestAddr = slot.Address()
		m.watchGuest(s)
		return nil
	}
	m.rollBackPause(s)
	return nil
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

// rollBackPause finishes in the background what a crash interrupted: the guest
// may take its time to answer, and other sandboxes need not wait for it.
func (m *Manager) rollBackPause(s *sandbox) {
	ctx, op := s.enter(context.Background(), Pausing)
	m.tasks.Go(func() {
		err := m.abandonPause(ctx, op, errors.New("the host agent ended meanwhile"))
		s.logger(m.log).Info("a pause that was under way is undone", "result", err)
	})
}

// wakeAgent undoes all that quieted a guest whose virtual CPUs run again.
func (g *guest) wakeAgent(ctx context.Context) error {
	// Nobody knows how far a pause without memory had come.
	if err := g.unlessDead(ctx, func(ctx context.Context) error { return g.envd.ThawFilesystem(ctx, g.token) }); err != nil {
		return err
	}
	// A life of its own makes it count whatever the host's clock did meanwhile.
	g.lifecycleID = rand.Text()
	return g.initialise(ctx, Identity{AccessToken: g.token, LifecycleID: g.lifecycleID}, g.token)
}

// Leave ends the manager but not the VMs, which the next one adopts. What is
// under way is finished first.
func (m *Manager) Leave() {
	m.mutex.Lock()
	m.closed = true
	m.mutex.Unlock()
	for _, s := range m.all() {
		s.mutex.Lock()
		settled := s.settled
		s.mutex.Unlock()
		<-settled // every operation has a time limit of its own
	}
	if err := m.warm.close(); err != nil {
		m.log.Error("end clones held ready", "error", err)
	}
	m.sampler.close()
	m.tender.close()
	close(m.left)
	m.tasks.Wait()
	for _, s := range m.all() {
		if s.guest != nil {
			s.guest.stopServing()
			s.guest.machine.Release()
			s.guest.group.Release()
		}
	}
}

var _ slots = (*network.Pool)(nil)
