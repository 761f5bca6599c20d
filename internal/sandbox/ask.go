package sandbox

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
)

// GuestSample is what a guest says of itself: anything, within its own limits.
type GuestSample struct {
	At               time.Time
	MemoryUsedBytes  uint64
	MemoryTotalBytes uint64
	MemoryCacheBytes uint64
	DiskUsedBytes    uint64
	DiskTotalBytes   uint64
}

const (
	// askEvery is how often a guest is asked: an idle one shall stay idle.
	askEvery = 10 * time.Second
	// askFirst is how long a new guest is left alone: its user's first request
	// comes first.
	askFirst = 2 * time.Second
	// askTimeout bounds how long it may take to answer, or never to.
	askTimeout = time.Second
	// askParallelism bounds how many guests are asked at once, and so what those
	// can do that never answer.
	askParallelism = 8
)

// question is what a guest is being asked, if anything.
type question struct {
	next   time.Time // when it is asked again
	cancel context.CancelFunc
	done   chan struct{} // closed when the answer was taken
}

// askGuest asks a running guest how it is, if it is time. When too many others
// have not answered yet, it is asked the next second.
func (p *sampler) askGuest(ctx context.Context, s *sandbox) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := time.Now()
	if s.record.State != Running || s.guest == nil || now.Before(s.guest.question.next) {
		return
	}
	g := s.guest
	if g.question.next.IsZero() {
		g.question.next = now.Add(askFirst)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	done, secret, record := make(chan struct{}), g.secret, s.record
	lifecycleID := g.lifecycleID
	if !p.asking.TryGo(func() error {
		defer close(done)
		defer cancel()
		if g.clockIsLate.Load() {
			lag, err := g.envd.TellTime(ctx, secret, lifecycleID)
			g.clockIsLate.Store(err != nil || lag > envdclient.MaxClockLag)
		}
		if said, err := g.envd.Metrics(ctx, secret); err == nil { // otherwise the last sample stays
			s.history.setGuest(believable(said, record))
		}
		return nil
	}) {
		cancel()
		return
	}
	g.question = question{next: now.Add(askEvery), cancel: cancel, done: done}
}

// stopAsking takes back a question that was not answered yet, before the guest is
// stopped: nobody shall answer it in another life. It is called by the guest's
// owner, when no new one can be asked.
func (g *guest) stopAsking() {
	if g.question.done != nil {
		g.question.cancel()
		<-g.question.done
	}
}

// believable bounds what a guest said by what it was given.
func believable(said envdclient.Metrics, given record) GuestSample {
	memory := min(said.MemoryTotal, uint64(given.MemoryMiB)<<20)
	disk := min(said.DiskTotal, uint64(given.DiskMiB)<<20)
	return GuestSample{
		At:              time.Now(),
		MemoryUsedBytes: min(said.MemoryUsed, memory), MemoryTotalBytes: memory, MemoryCacheBytes: min(said.MemoryCache, memory),
		DiskUsedBytes: min(said.DiskUsed, disk), DiskTotalBytes: disk,
	}
}
