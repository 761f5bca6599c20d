package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	firstDelay = 500 * time.Millisecond
	lastDelay  = 30 * time.Second
	// settled is how long a service must have run for its next restart to wait only
	// firstDelay again.
	settled = time.Minute
)

// Running is a service that was started, such as a Process.
type Running interface {
	Done() <-chan struct{}
	Err() error
	Stop(ctx context.Context) error
}

// Service is a service to keep running.
type Service struct {
	Name string
	// Start returns when the service is ready. After an error nothing of it runs.
	Start func(ctx context.Context) (Running, error)
	// Report receives a line for each end and each restart.
	Report func(line string)
}

// Kept is a service that is restarted whenever it ends, until Stop.
type Kept struct {
	service Service
	current Running // owned by watch until ended is closed
	cancel  context.CancelFunc
	ended   chan struct{}
}

// Keep starts a service and keeps it running. It fails if the first start fails. The end
// of ctx interrupts that start; only Stop stops the service.
func Keep(ctx context.Context, service Service) (*Kept, error) {
	current, err := service.Start(ctx)
	if err != nil {
		return nil, err
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &Kept{service: service, current: current, cancel: cancel, ended: make(chan struct{})}
	go k.watch(watching)
	return k, nil
}

// Stop stops the service in an orderly way, or by force when ctx ends.
func (k *Kept) Stop(ctx context.Context) error {
	k.cancel()
	<-k.ended
	if k.current == nil {
		return nil
	}
	return k.current.Stop(ctx)
}

// watch restarts the service each time it ends, until ctx ends.
func (k *Kept) watch(ctx context.Context) {
	defer close(k.ended)
	delay := firstDelay
	startedAt := time.Now()
	for {
		select {
		case <-k.current.Done():
		case <-ctx.Done():
			return
		}
		if time.Since(startedAt) >= settled {
			delay = firstDelay
		}
		k.service.Report(fmt.Sprintf("%s stopped (%s)", k.service.Name, endOf(k.current)))
		k.current = k.restart(ctx, &delay)
		if k.current == nil {
			return
		}
		startedAt = time.Now()
	}
}

// restart tries until the service is ready again. It returns nil if ctx ends before.
func (k *Kept) restart(ctx context.Context, delay *time.Duration) Running {
	for {
		k.service.Report(fmt.Sprintf("%s: starting it again in %s", k.service.Name, *delay))
		if !wait.For(ctx, *delay) {
			return nil
		}
		*delay = min(2**delay, lastDelay)
		running, err := k.service.Start(ctx)
		if err == nil {
			k.service.Report(k.service.Name + " runs again")
			return running
		}
		if ctx.Err() != nil {
			return nil
		}
		k.service.Report(err.Error())
	}
}

func endOf(running Running) error {
	if err := running.Err(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}
