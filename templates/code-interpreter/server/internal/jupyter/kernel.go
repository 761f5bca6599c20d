package jupyter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// jupyterKernel is a kernel of Jupyter's, and the connection to it. Its methods are
// called one at a time.
type jupyterKernel struct {
	client    *client
	name      string // of the kernel's kind
	directory string
	id        string
	session   string
	conn      *connection // nil before the first run and after a loss
	ended     bool        // its process has ended, and Jupyter starts another
}

var _ kernel.Kernel = (*jupyterKernel)(nil)

func (k *jupyterKernel) start(ctx context.Context) (err error) {
	k.id, err = k.client.start(ctx, k.name, k.directory)
	if err != nil {
		return fmt.Errorf("start a kernel %s: %w", k.name, err)
	}
	k.session = rand.Text()
	return k.ready(ctx)
}

// readyInterval is how long the code that shows a kernel's readiness may take at first. What
// it says is lost where the kernel begins to listen only later, or on other ports: Jupyter
// chooses others where one was taken.
const readyInterval = 2 * time.Second

// ready returns once the kernel has run something and what it said has come: an interrupt
// that came while it starts would end it, and output before would be lost.
func (k *jupyterKernel) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for interval := readyInterval; ; interval *= 2 {
		if err := k.connect(ctx); err != nil {
			return err
		}
		trying, stop := context.WithTimeout(ctx, interval)
		following, err := k.follow(trying, kernel.Run{Silent: true}, func(kernel.Event) error { return nil })
		stop()
		k.conn.remove(following.id)
		if err == nil {
			k.ended = false
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, kernel.ErrGone) {
			return fmt.Errorf("wait for a kernel %s to start: %w", k.name, err)
		}
		k.disconnect()
	}
}

func (k *jupyterKernel) connect(ctx context.Context) (err error) {
	if k.conn != nil && !k.conn.ended() {
		return nil
	}
	k.disconnect()
	k.conn, err = k.client.connect(ctx, k.id, k.session)
	return err
}

func (k *jupyterKernel) disconnect() {
	if k.conn != nil {
		k.conn.close()
		k.conn = nil
	}
}

// Execute sends the code and passes on what comes, until the kernel has answered and is
// idle.
func (k *jupyterKernel) Execute(ctx context.Context, code kernel.Run, emit kernel.Emit) error {
	err := k.connect(ctx)
	if err == nil && k.ended {
		err = k.ready(ctx)
	}
	switch {
	case errors.Is(err, errNoKernel):
		// Jupyter itself was started anew, and has none of its kernels.
		if err := k.start(ctx); err != nil {
			return err
		}
		return kernel.ErrGone
	case err != nil:
		return err
	}
	following, err := k.follow(ctx, code, emit)
	defer following.conn.remove(following.id)
	switch {
	case err == nil, errors.Is(err, errDisconnected):
		return err
	case errors.Is(err, kernel.ErrGone):
		k.ended = true // Jupyter starts it anew
		return err
	case errors.Is(context.Cause(ctx), kernel.ErrAbandoned):
		return err
	}
	return errors.Join(err, k.interrupt(ctx, following))
}

// follow sends code and follows it to its end. Who calls may go on with the follower, and
// removes it from the connection.
func (k *jupyterKernel) follow(ctx context.Context, code kernel.Run, emit kernel.Emit) (*follower, error) {
	id := rand.Text()
	following := &follower{id: id, conn: k.conn, run: k.conn.add(id), emit: emit}
	data, err := encodeRun(id, k.session, code, time.Now())
	if err != nil {
		return following, fmt.Errorf("encode a run: %w", err)
	}
	if err := k.conn.send(ctx, data); err != nil {
		return following, err
	}
	return following, following.until(ctx)
}

// interrupt interrupts a run whose client left, and waits for its end.
func (k *jupyterKernel) interrupt(ctx context.Context, of *follower) error {
	of.emit = func(kernel.Event) error { return nil }
	interrupt := func(ctx context.Context) error { return k.client.interrupt(ctx, k.id) }
	if err := kernel.Interrupt(ctx, interrupt, of.until); err != nil {
		return fmt.Errorf("interrupt a run: %w", err)
	}
	return nil
}

// Restart empties the kernel. The connection is made anew: Jupyter closes it.
func (k *jupyterKernel) Restart(ctx context.Context) error {
	k.disconnect()
	if err := k.client.restart(ctx, k.id); err == nil {
		return k.ready(ctx)
	}
	// Jupyter may have lost the kernel, or be starting it by itself at this moment.
	if err := k.client.stop(ctx, k.id); err != nil {
		return err
	}
	return k.start(ctx)
}

// Close ends the kernel.
func (k *jupyterKernel) Close(ctx context.Context) error {
	k.disconnect()
	return k.client.stop(ctx, k.id)
}

// follower passes a run's messages on.
type follower struct {
	id   string // of the request
	conn *connection
	run  *run
	emit kernel.Emit
	// idle and replied: outputs come before idle, and the reply on a channel of its
	// own; the run has ended when both have come.
	idle, replied, failed bool
}

// until follows the run to its end.
func (f *follower) until(ctx context.Context) error {
	for !f.idle || !f.replied {
		select {
		case next := <-f.run.messages:
			if err := f.take(next); err != nil {
				return err
			}
		case <-f.conn.done:
			if len(f.run.messages) == 0 {
				return errDisconnected
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *follower) take(next message) error {
	switch {
	case next.state == "restarting", next.state == "dead":
		return kernel.ErrGone
	case next.state == "idle":
		f.idle = true
	case next.reply != "":
		f.replied = true
		// Kernels that show no error message still have the error in their reply.
		if next.failure != nil && !f.failed {
			f.failed = true
			return f.emit(*next.failure)
		}
	case next.event != nil:
		if _, is := next.event.(kernel.Failure); is {
			if f.failed {
				return nil
			}
			f.failed = true
		}
		return f.emit(next.event)
	}
	return nil
}
