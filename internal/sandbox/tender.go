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

// tender tries again, for as long as it takes, what could not be done: it lets
// guests go on that stand still for want of room, wakes guests that did not
// answer, and puts disks away that there was no room for. It also looks after the
// room that is left.
type tender struct {
	manager *Manager
	cancel  context.CancelFunc
	ended   chan struct{}
}

const (
	// tendEvery is how long a guest waits at most when there is room again.
	tendEvery = 2 * time.Second
	// stalledTimeout bounds the answer of a VMM.
	stalledTimeout = 5 * time.Second
	// rewakeTimeout bounds the answer of a guest that did not give one before.
	rewakeTimeout = 2 * time.Second
	// longestTendRest is how far attempts are apart that have failed often.
	longestTendRest = time.Minute
)

// attempts spaces out what fails again and again. The zero value is due.
type attempts struct {
	next time.Time
	rest time.Duration
}

func (a *attempts) due() bool { return !time.Now().Before(a.next) }

func (a *attempts) failed() {
	a.rest = min(max(tendEvery, 2*a.rest), longestTendRest)
	a.next = time.Now().Add(a.rest)
}

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
	tick, look := time.NewTicker(tendEvery), time.NewTicker(guardEvery)
	defer tick.Stop()
	defer look.Stop()
	room := guard{d.manager}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			room.look(ctx)
			continue
		case <-tick.C:
		}
		for _, s := range d.manager.all() {
			if ctx.Err() != nil {
				return
			}
			d.tend(ctx, s)
		}
	}
}

func (d *tender) tend(ctx context.Context, s *sandbox) {
	switch needs := s.needs(); {
	case needs.salvage:
		d.manager.salvageDisk(s)
	case needs.waking:
		d.wake(ctx, s)
	case needs.machine != nil:
		d.letGoOn(ctx, s, needs.machine)
	}
}

// needs is what a sandbox may want of the tender.
type needs struct {
	salvage bool
	waking  bool
	machine vmm.Machine // of one that runs
}

// needs is nothing while somebody works on the sandbox.
func (s *sandbox) needs() needs {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	switch s.record.State {
	case Failed:
		return needs{salvage: s.salvage != "" && s.salvages.due()}
	case Running:
		if s.guest.held {
			return needs{}
		}
		return needs{waking: s.guest.wake != nil && s.guest.wakes.due(), machine: s.guest.machine}
	default:
		return needs{}
	}
}

// wake tells a guest what it has not heard.
func (d *tender) wake(ctx context.Context, s *sandbox) {
	ctx, op, err := s.begin(ctx, Updating, "be woken")
	if err != nil {
		return // somebody works on it now
	}
	answer, cancel := context.WithTimeout(ctx, rewakeTimeout)
	defer cancel()
	if err := s.guest.wake(answer); err != nil {
		s.guest.wakes.failed()
	} else {
		s.logger(d.manager.log).Info("a guest that did not answer is awake again")
	}
	d.manager.settle(op, Running, "")
}

// letGoOn lets a guest go on that stands still for want of room.
func (d *tender) letGoOn(ctx context.Context, s *sandbox, machine vmm.Machine) {
	asked, able := machine.(staller)
	if !able {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stalledTimeout)
	defer cancel()
	if stalled, err := asked.Stalled(ctx); err != nil || !stalled {
		return // it has ended, or somebody will notice
	}
	_, op, err := s.begin(ctx, Updating, "go on")
	if err != nil {
		return // somebody works on it now
	}
	err = machine.Resume(ctx)
	d.manager.publish(op, Running, "")
	s.logger(d.manager.log).Warn("a sandbox stood still: the host has no room for what it writes", "letGoOn", err == nil)
}
