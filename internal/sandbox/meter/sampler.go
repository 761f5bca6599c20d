package meter

import (
	"context"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Subject is a sandbox whose VM is sampled.
type Subject interface {
	// Meter is nil unless a VM runs.
	Meter() *Meter
	// History is where samples are kept.
	History() *History
	// AskGuest asks the guest for its report, if it is time, in a goroutine that try
	// starts and that ends with ctx. try answers false when too many run.
	AskGuest(ctx context.Context, try func(ask func()) bool)
}

// Sampler measures every running sandbox, and the host's CPUs, once a second.
type Sampler struct {
	subjects func() iter.Seq[Subject]
	reader   *reader
	cancel   context.CancelFunc
	ended    chan struct{}
	asking   errgroup.Group

	mutex   sync.Mutex
	hostCPU hostCPU
}

const (
	sampleEvery = time.Second
	// askParallelism bounds how many guests are asked at once, and so the cost of those
	// that never answer.
	askParallelism = 8
)

// StartSampler starts to measure; Close ends it.
func StartSampler(subjects func() iter.Seq[Subject]) *Sampler {
	p := newSampler(subjects)
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.ended = make(chan struct{})
	go p.run(ctx)
	return p
}

func newSampler(subjects func() iter.Seq[Subject]) *Sampler {
	p := &Sampler{subjects: subjects, reader: newReader()}
	p.asking.SetLimit(askParallelism)
	return p
}

// Close ends the sampler, and questions that were not answered.
func (p *Sampler) Close() {
	p.cancel()
	<-p.ended
}

func (p *Sampler) run(ctx context.Context) {
	defer close(p.ended)
	defer func() { _ = p.asking.Wait() }() // they end with ctx and have no errors
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		p.sample(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Sampler) sample(ctx context.Context) {
	cpu := p.reader.hostCPU()
	p.mutex.Lock()
	p.hostCPU = cpu.after(p.hostCPU)
	p.mutex.Unlock()
	p.reader.readLinks()
	for subject := range p.subjects() {
		running := subject.Meter()
		if running == nil {
			continue
		}
		subject.History().add(running.sample(p.reader.read(running), time.Now()))
		subject.AskGuest(ctx, p.tryAsk)
	}
}

func (p *Sampler) tryAsk(ask func()) bool {
	return p.asking.TryGo(func() error {
		ask()
		return nil
	})
}

// HostCPUUsedPercent is how much of all the host's CPUs was used in the last second.
func (p *Sampler) HostCPUUsedPercent() float64 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.hostCPU.usedPercent
}
