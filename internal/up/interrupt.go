package up

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// interruptible returns a context that ends at the first signal to stop, and one that
// ends at the second. release restores the default handling of signals.
func interruptible(parent context.Context) (stopped, forced context.Context, release func()) {
	stopped, stop := context.WithCancel(parent)
	forced, force := context.WithCancel(context.WithoutCancel(parent))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	finished, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for _, next := range []context.CancelFunc{stop, force} {
			select {
			case <-signals:
				next()
			case <-finished:
				return
			}
		}
	}()
	return stopped, forced, func() {
		signal.Stop(signals)
		close(finished)
		<-ended
		stop()
		force()
	}
}
