package guest

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
)

const (
	// askEvery is how often a guest is asked: questions keep an idle one busy.
	askEvery = 10 * time.Second
	// askFirst is how long a new guest is not asked: the user's first request goes
	// first.
	askFirst = 2 * time.Second
	// askTimeout bounds how long a guest may take to answer.
	askTimeout = time.Second
)

// question is when a guest is asked, and the call that is under way, if any.
type question struct {
	next   time.Time
	cancel context.CancelFunc
	done   chan struct{} // closed when the call has ended
}

// Ask asks the guest for its report, if it is time, in a goroutine that try starts and
// that ends with ctx. When try answers false, too many guests are being asked: this one is
// asked at the next call. Ask is called while no operation is under way, and under a lock
// that beginning an operation takes.
func (g *Guest) Ask(ctx context.Context, try func(ask func()) bool, answered func(meter.GuestSample)) {
	now := time.Now()
	if now.Before(g.question.next) {
		return
	}
	if g.question.next.IsZero() {
		g.question.next = now.Add(askFirst)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	done, secret, lifecycleID := make(chan struct{}), g.secret, g.told.LifecycleID
	if !try(func() {
		defer close(done)
		defer cancel()
		if g.clockIsLate.Load() {
			lag, err := g.envd.TellTime(ctx, secret, lifecycleID)
			g.clockIsLate.Store(err != nil || lag > envdclient.MaxClockLag)
		}
		if report, err := g.envd.Metrics(ctx, secret); err == nil { // otherwise the last report stays
			answered(sampleOf(report))
		}
	}) {
		cancel()
		return
	}
	g.question = question{next: now.Add(askEvery), cancel: cancel, done: done}
}

func sampleOf(report envdclient.Metrics) meter.GuestSample {
	return meter.GuestSample{
		At:              time.Now(),
		MemoryUsedBytes: report.MemoryUsed, MemoryTotalBytes: report.MemoryTotal, MemoryCacheBytes: report.MemoryCache,
		DiskUsedBytes: report.DiskUsed, DiskTotalBytes: report.DiskTotal,
	}
}

// stopAsking ends a question that was not answered yet, before the guest is stopped: the
// answer must not come in another life.
func (g *Guest) stopAsking() {
	if g.question.done != nil {
		g.question.cancel()
		<-g.question.done
	}
}
