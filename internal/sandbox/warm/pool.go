// Package warm holds guests ready: clones of templates that a create takes instead of
// restoring a snapshot.
package warm

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Guests starts and stops guests.
type Guests interface {
	Start(ctx context.Context, spec guest.Spec, base *snapshot.Snapshot, identity guest.Identity) (*guest.Guest, error)
	Stop(g *guest.Guest) error
}

// Templates are the snapshots that clones are made of.
type Templates interface {
	// Templates are those of which one clone is ready without any demand.
	Templates() []*snapshot.Snapshot
	// IsTemplate is false for the snapshot of a sandbox, and for what was deleted.
	IsTemplate(base *snapshot.Snapshot) bool
}

// Admission refuses guests that the host has no room for.
type Admission interface {
	Admit(wanted admission.Size) (release func(), err error)
}

// Config is what a Pool works with.
type Config struct {
	// Directory holds the clones. It is on the file system of the templates and of the
	// sandboxes: a clone becomes a sandbox by a rename.
	Directory string
	// BudgetBytes is how much host memory clones may use; zero makes none.
	BudgetBytes int64
	Guests      Guests
	Templates   Templates
	Admission   Admission
	Log         *slog.Logger
}

// Pool holds as many clones of templates as recent creates make likely to be taken and
// the budget allows.
type Pool struct {
	config Config
	wake   chan struct{}
	cancel context.CancelFunc
	ended  chan struct{}

	mutex    sync.Mutex
	clones   map[string][]*Clone // by build ID, oldest first
	demands  map[string]demand
	builds   map[string]*snapshot.Snapshot // that creates have asked for
	starting int                           // creates under way
	calmAt   time.Time                     // when the last create has ended and its sandbox had a moment
	closed   bool
}

const (
	// adjustEvery is how often the number of clones is adjusted without any create.
	adjustEvery = 5 * time.Second
	// longestRest is the longest time between attempts to make a clone that fail.
	longestRest = 5 * time.Minute
	// calm is how long after a create the pool leaves the host's CPUs to the new sandbox.
	calm = 100 * time.Millisecond
	// typicalCloneBytes is what a clone is expected to use before the first was made.
	typicalCloneBytes = 64 << 20
)

// Start starts a Pool; Close ends it.
func Start(config Config) *Pool {
	p := newPool(config)
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go p.run(ctx)
	return p
}

func newPool(config Config) *Pool {
	return &Pool{
		config: config, wake: make(chan struct{}, 1), ended: make(chan struct{}),
		clones: make(map[string][]*Clone), demands: make(map[string]demand), builds: make(map[string]*snapshot.Snapshot),
	}
}

// Close ends the pool and every clone in it.
func (p *Pool) Close() error {
	p.mutex.Lock()
	p.closed = true
	p.mutex.Unlock()
	p.cancel()
	<-p.ended
	return errors.Join(p.endAll(p.takeAll()), os.RemoveAll(p.config.Directory))
}

// Take notes that a sandbox is being created from a snapshot, and returns a clone of it
// if there is one. The caller calls done when the create has ended.
func (p *Pool) Take(base *snapshot.Snapshot) (taken *Clone, done func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.starting++
	if !p.config.Templates.IsTemplate(base) {
		return nil, p.done
	}
	p.demands[base.BuildID] = p.demands[base.BuildID].plusOne(time.Now())
	p.builds[base.BuildID] = base
	held := p.clones[base.BuildID]
	for i := len(held) - 1; i >= 0 && taken == nil; i-- {
		if held[i].isAlive() { // dead ones are removed by the next adjustment
			taken = held[i]
			p.clones[base.BuildID] = slices.Delete(held, i, i+1)
		}
	}
	return taken, p.done
}

func (p *Pool) done() {
	p.mutex.Lock()
	p.starting--
	p.calmAt = time.Now().Add(calm)
	p.mutex.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Count is how many clones are ready.
func (p *Pool) Count() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	count := 0
	for _, held := range p.clones {
		count += len(held)
	}
	return count
}

// Reclaim ends every clone, because the host is short of memory. It reports whether there
// were any.
func (p *Pool) Reclaim() bool {
	all := p.takeAll()
	if err := p.endAll(all); err != nil {
		p.config.Log.Error("end clones held ready", "error", err)
	}
	return len(all) > 0
}

func (p *Pool) takeAll() []*Clone {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	all := slices.Concat(slices.Collect(maps.Values(p.clones))...)
	clear(p.clones)
	return all
}

func (p *Pool) endAll(clones []*Clone) error {
	var failures []error
	for _, c := range clones {
		failures = append(failures, p.End(c))
	}
	return errors.Join(failures...)
}

// run adjusts the number of clones until ctx ends.
func (p *Pool) run(ctx context.Context) {
	defer close(p.ended)
	if p.config.BudgetBytes <= 0 {
		return
	}
	rest := adjustEvery
	for ctx.Err() == nil {
		if err := p.endAll(p.takeSurplus()); err != nil {
			p.config.Log.ErrorContext(ctx, "end clones held ready", "error", err)
		}
		wake := p.wake
		if err := p.fill(ctx); err == nil {
			rest = adjustEvery
		} else if ctx.Err() == nil {
			wake, rest = nil, min(2*rest, longestRest)
			p.config.Log.WarnContext(ctx, "make a clone to hold ready", "error", err, "retryIn", rest)
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
func (p *Pool) fill(ctx context.Context) error {
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

func (p *Pool) add(ctx context.Context, base *snapshot.Snapshot) error {
	release, err := p.config.Admission.Admit(admission.SizeOf(base))
	if err != nil {
		p.Reclaim()
		return err
	}
	defer release()
	made, err := p.makeClone(ctx, base)
	if err != nil && ctx.Err() == nil && isBuild(base) {
		p.giveUp(ctx, base, err)
		return nil
	}
	if err != nil {
		return err
	}
	p.mutex.Lock()
	p.clones[base.BuildID] = append(p.clones[base.BuildID], made)
	p.mutex.Unlock()
	return nil
}

// giveUp forgets the use of a build whose clones cannot be made, until creates ask for it
// again: others must not wait for it.
func (p *Pool) giveUp(ctx context.Context, base *snapshot.Snapshot, err error) {
	p.config.Log.WarnContext(ctx, "make a clone of a build to hold ready", "build", base.BuildID, "error", err)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.demands, base.BuildID)
	delete(p.builds, base.BuildID)
}

// awaitCalm waits until no create has been under way for a moment: clients that wait for
// a sandbox have priority.
func (p *Pool) awaitCalm(ctx context.Context) error {
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
