package sandbox

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// staller is a machine whose VMM stops the guest when the host has no room for
// what it writes, until somebody lets it go on.
type staller interface {
	// Stalled says whether it stands still for that reason. Anybody may ask.
	Stalled(ctx context.Context) (bool, error)
}

// tender lets guests go on that stand still for want of room.
type tender struct {
	manager *Manager
	cancel  context.CancelFunc
	ended   chan struct{}
}

const (
	// tendEvery is how long a guest waits at most when there is room again.
	tendEvery = 2 * time.Second
	// stalledTimeout bounds the answer of a VMM: one that does not give it is not
	// asked again.
	stalledTimeout = 30 * time.Second
)

func newTender(m *Manager) *tender {
	ctx, cancel := context.WithCancel(context.Background())
	d := &tender{manager: m, cancel: cancel, ended: make(chan struct{})}
	go d.run(ctx)
	return d
}

func (d *tender) close() {
	d.cancel()
	<-d.ended
}

func (d *tender) run(ctx context.Context) {
	defer close(d.ended)
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range d.manager.all() {
			if machine := s.runningMachine(); machine != nil && ctx.Err() == nil {
				d.tend(s, machine)
			}
		}
	}
}

// runningMachine is nil unless the sandbox runs and nobody works on it.
func (s *sandbox) runningMachine() vmm.Machine {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.record.State != Running || s.guest == nil {
		return nil
	}
	return s.guest.machine
}

func (d *tender) tend(s *sandbox, machine vmm.Machine) {
	asked, able := machine.(staller)
	if !able {
		return
	}
	// Not the tender's own context: a VMM that is left in the middle of an answer
	// cannot be asked anything any more.
	ctx, cancel := context.WithTimeout(context.Background(), stalledTimeout)
	defer cancel()
	if stalled, err := asked.Stalled(ctx); err != nil || !stalled {
		return // it has ended, or somebody will notice
	}
	_, op, err := s.begin(ctx, Updating, "go on")
	if err != nil {
		return // somebody works on it now
	}
	err = machine.Resume(ctx)
	op.step(Running, "")
	d.manager.watchGuest(s) // its end may have come meanwhile
	s.logger(d.manager.log).Warn("a sandbox stood still: the host has no room for what it writes", "letGoOn", err == nil)
}
