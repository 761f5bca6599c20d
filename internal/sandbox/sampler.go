package sandbox

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// sampler measures every running sandbox, and the host, once a second.
type sampler struct {
	manager *Manager
	reader  *reader
	cancel  context.CancelFunc
	ended   chan struct{}
	asking  errgroup.Group // of guests, a few at a time

	mutex   sync.Mutex
	hostCPU hostCPU
}

// sampleEvery is how far samples are apart.
const sampleEvery = time.Second

func newSampler(m *Manager) *sampler {
	ctx, cancel := context.WithCancel(context.Background())
	p := &sampler{manager: m, reader: newReader(), cancel: cancel, ended: make(chan struct{})}
	p.asking.SetLimit(askParallelism)
	go p.run(ctx)
	return p
}

func (p *sampler) close() {
	p.cancel()
	<-p.ended
}

func (p *sampler) run(ctx context.Context) {
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

func (p *sampler) sample(ctx context.Context) {
	cpu := p.reader.hostCPU()
	p.mutex.Lock()
	p.hostCPU = cpu.after(p.hostCPU)
	p.mutex.Unlock()
	p.reader.readLinks()
	for _, s := range p.manager.all() {
		s.mutex.Lock()
		running := s.meter
		s.mutex.Unlock()
		if running == nil {
			continue
		}
		s.history.add(running.sample(p.reader.read(running), time.Now()))
		p.askGuest(ctx, s)
	}
}

// cpuUsedPercent is how much of all the host's CPUs was used lately.
func (p *sampler) cpuUsedPercent() float64 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.hostCPU.usedPercent
}
