package sandbox

import (
	"context"
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// warmPool holds clones of templates ready, as many as recent creates make
// likely to be wanted and a budget of memory allows.
type warmPool struct {
	manager *Manager
	budget  int64 // bytes; zero means that no clone is ever made
	wake    chan struct{}
	cancel  context.CancelFunc
	ended   chan struct{}

	mutex    sync.Mutex
	clones   map[string][]*clone // by build, oldest first
	demands  map[string]demand
	starting int       // creates under way
	calmAt   time.Time // when the last one ended
	closed   bool
}

const (
	// tidyEvery is how often demand is looked at when nobody creates anything.
	tidyEvery = 5 * time.Second
	// longestRest is how long a host on which no clone can be made is left alone.
	longestRest = 5 * time.Minute
	// calm is how long after a create the machine is left to the new sandbox.
	calm = 100 * time.Millisecond
	// typicalCloneBytes is what a clone is expected to take before one was made.
	typicalCloneBytes = 64 << 20
)

func newWarmPool(m *Manager, budget int64) *warmPool {
	p := &warmPool{
		manager: m, budget: budget, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		clones: make(map[string][]*clone), demands: make(map[string]demand),
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go p.run(ctx)
	return p
}

// close ends the pool and every clone in it.
func (p *warmPool) close() error {
	p.mutex.Lock()
	p.closed = true
	p.mutex.Unlock()
	p.cancel()
	<-p.ended
	return errors.Join(p.drop(p.takeAll()), os.RemoveAll(p.manager.warmDir()))
}

// begin notes that a sandbox is being created from a snapshot, and returns a
// clone of that if there is one. done is called when the create has ended.
func (p *warmPool) begin(base *snapshot.Snapshot) (taken *clone, done func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.starting++
	if !p.manager.isTemplate(base) {
		return nil, p.done
	}
	p.demands[base.BuildID] = p.demands[base.BuildID].plusOne(time.Now())
	held := p.clones[base.BuildID]
	for i := len(held) - 1; i >= 0 && taken == nil; i-- {
		if held[i].lives() { // the dead are cleared away by the next tidying
			taken = held[i]
			p.clones[base.BuildID] = slices.Delete(held, i, i+1)
		}
	}
	return taken, p.done
}

func (p *warmPool) done() {
	p.mutex.Lock()
	p.starting--
	p.calmAt = time.Now().Add(calm)
	p.mutex.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *warmPool) count() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	count := 0
	for _, held := range p.clones {
		count += len(held)
	}
	return count
}

// giveBack ends every clone, because the host is short of memory. It says
// whether there were any.
func (p *warmPool) giveBack() bool {
	all := p.takeAll()
	if err := p.drop(all); err != nil {
		p.manager.log.Error("end clones held ready", "error", err)
	}
	return len(all) > 0
}

func (p *warmPool) takeAll() []*clone {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	all := slices.Concat(slices.Collect(maps.Values(p.clones))...)
	clear(p.clones)
	return all
}

func (p *warmPool) drop(clones []*clone) error {
	var failures []error
	for _, c := range clones {
		failures = append(failures, p.manager.dropClone(c))
	}
	return errors.Join(failures...)
}

// run keeps the pool as it should be until ctx ends.
func (p *warmPool) run(ctx context.Context) {
	defer close(p.ended)
	if p.budget <= 0 {
		return
	}
	rest := tidyEvery
	for ctx.Err() == nil {
		if err := p.drop(p.takeSurplus()); err != nil {
			p.manager.log.Error("end clones held ready", "error", err)
		}
		wake := p.wake
		if err := p.fill(ctx); err == nil {
			rest = tidyEvery
		} else if ctx.Err() == nil {
			wake, rest = nil, min(2*rest, longestRest)
			p.manager.log.Warn("make a clone to hold ready", "error", err, "retryIn", rest)
		}
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
		}
		timer.Stop()
	}
}

// fill makes clones, a few at a time, until there are enough.
func (p *warmPool) fill(ctx context.Context) error {
	parallel := max(1, runtime.NumCPU()/4)
	for {
		if err := p.awaitCalm(ctx); err != nil {
			return err
		}
		wanted := p.shortage(parallel)
		if len(wanted) == 0 {
			return nil
		}
		var group errgroup.Group
		for _, base := range wanted {
			group.Go(func() error { return p.add(ctx, base) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
}

func (p *warmPool) add(ctx context.Context, base *snapshot.Snapshot) error {
	release, err := p.manager.admit(sizeOf(base))
	if err != nil {
		p.giveBack()
		return err
	}
	defer release()
	made, err := p.manager.makeClone(ctx, base)
	if err != nil {
		return err
	}
	p.mutex.Lock()
	p.clones[base.BuildID] = append(p.clones[base.BuildID], made)
	p.mutex.Unlock()
	return nil
}

// awaitCalm waits until no create has been under way for a moment: those who
// wait for a sandbox come first.
func (p *warmPool) awaitCalm(ctx context.Context) error {
	for {
		p.mutex.Lock()
		wait := time.Until(p.calmAt)
		if p.starting > 0 {
			wait = calm
		}
		p.mutex.Unlock()
		if wait <= 0 {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// shortage is what there should be more of, at most limit clones.
func (p *warmPool) shortage(limit int) []*snapshot.Snapshot {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.closed {
		return nil
	}
	var used int64
	count := 0
	for _, held := range p.clones {
		for _, c := range held {
			used += c.memoryBytes
			count++
		}
	}
	each := int64(typicalCloneBytes)
	if count > 0 {
		each = max(1, used/int64(count))
	}
	room := int((p.budget - used) / each)
	var wanted []*snapshot.Snapshot
	for _, template := range p.manager.Templates() {
		missing := p.demands[template.BuildID].clones(time.Now()) - len(p.clones[template.BuildID])
		for range missing {
			if len(wanted) >= min(limit, room) {
				return wanted
			}
			wanted = append(wanted, template)
		}
	}
	return wanted
}

// takeSurplus takes the dead, and of what demand no longer asks for the oldest.
func (p *warmPool) takeSurplus() []*clone {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var surplus []*clone
	for build, held := range p.clones {
		held = slices.DeleteFunc(held, func(c *clone) bool {
			if c.lives() {
				return false
			}
			surplus = append(surplus, c)
			return true
		})
		// Some more than needed are kept: demand comes in waves.
		if most := 2 * p.demands[build].clones(time.Now()); len(held) > most {
			surplus = append(surplus, held[:len(held)-most]...)
			held = held[len(held)-most:]
		}
		p.clones[build] = held
	}
	return surplus
}
