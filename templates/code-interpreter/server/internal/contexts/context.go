package contexts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/templates/code-interpreter/server/internal/kernel"
)

// mostWaiting is how many runs may wait for one context.
const mostWaiting = 64

// cleanupTimeout bounds the code of this server's own.
const cleanupTimeout = 10 * time.Second

var (
	errRestarted = fmt.Errorf("the context was restarted: %w", kernel.ErrAbandoned)
	errRemoved   = fmt.Errorf("the context was removed: %w", kernel.ErrAbandoned)
)

// Context is a kernel with what belongs to it. Runs of one context wait for each other.
type Context struct {
	ID        string `json:"id"`
	Language  string `json:"language"`
	Directory string `json:"cwd"`

	kernel  kernel.Kernel
	order   int           // of its creation
	turn    chan struct{} // has one element while nothing uses the kernel
	waiting chan struct{} // as many as may wait
	// base are the sandbox's variables that the kernel has. Who has the turn uses it.
	base map[string]string

	mu      sync.Mutex
	stop    context.CancelCauseFunc // ends the run that has the turn; nil without one
	removed bool
}

func newContext(id, language, directory string, order int, of kernel.Kernel) *Context {
	c := &Context{
		ID: id, Language: language, Directory: directory, kernel: of, order: order,
		turn: make(chan struct{}, 1), waiting: make(chan struct{}, mostWaiting),
	}
	c.turn <- struct{}{}
	return c
}

// take waits for the kernel.
func (c *Context) take(ctx context.Context) error {
	select {
	case c.waiting <- struct{}{}:
		defer func() { <-c.waiting }()
	default:
		return &BusyError{fmt.Sprintf("%d runs wait for context %s already", mostWaiting, c.ID)}
	}
	select {
	case <-c.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.removed {
		c.turn <- struct{}{}
		return notFound(c.ID)
	}
	return nil
}

func (c *Context) give() { c.turn <- struct{}{} }

// takeByForce ends the run that has the kernel, and waits for the kernel.
func (c *Context) takeByForce(ctx context.Context, cause error) error {
	c.mu.Lock()
	if c.stop != nil {
		c.stop(cause)
	}
	c.mu.Unlock()
	return c.take(ctx)
}

// Execute runs code with variables for this run alone.
func (c *Context) Execute(ctx context.Context, code string, variables map[string]string, of Environment, log *slog.Logger, emit kernel.Emit) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	ctx, stop := context.WithCancelCause(ctx)
	c.setStop(stop)
	defer func() {
		c.setStop(nil)
		stop(nil)
	}()
	set, remove := c.changes(ctx, of, log)
	overlay := maps.Clone(set)
	if overlay == nil {
		overlay = map[string]string{}
	}
	maps.Copy(overlay, variables)
	err := c.run(ctx, overlay, remove, code, emit)
	if len(variables) > 0 && err == nil {
		err = c.restore(ctx, variables)
	}
	return c.settle(ctx, err, emit)
}

func (c *Context) setStop(stop context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = stop
}

// changes are what the sandbox's variables differ by from those that the kernel has.
func (c *Context) changes(ctx context.Context, of Environment, log *slog.Logger) (set map[string]string, remove []string) {
	now, err := of.Variables(ctx)
	if err != nil {
		log.WarnContext(ctx, "code runs with the variables that its context has", "context", c.ID, "error", err)
		return nil, nil
	}
	set = map[string]string{}
	for name, value := range now {
		if had, has := c.base[name]; !has || had != value {
			set[name] = value
		}
	}
	for name := range c.base {
		if _, has := now[name]; !has {
			remove = append(remove, name)
		}
	}
	c.base = now
	return set, remove
}

// run runs code after what sets the environment.
func (c *Context) run(ctx context.Context, set map[string]string, remove []string, code string, emit kernel.Emit) error {
	if of, can := environments[c.Language]; can && len(set)+len(remove) > 0 {
		if err := c.silently(ctx, of.change(set, remove)); err != nil {
			return fmt.Errorf("set variables: %w", err)
		}
	}
	return c.kernel.Execute(ctx, kernel.Run{Code: code}, emit)
}

// restore takes the variables of one run back.
func (c *Context) restore(ctx context.Context, variables map[string]string) error {
	of, can := environments[c.Language]
	if !can {
		return nil
	}
	set, remove := map[string]string{}, []string(nil)
	for name := range variables {
		if value, has := c.base[name]; has {
			set[name] = value
		} else {
			remove = append(remove, name)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := c.silently(ctx, of.change(set, remove)); err != nil {
		return fmt.Errorf("take variables back: %w", err)
	}
	return nil
}

// silently runs code of this server's own.
func (c *Context) silently(ctx context.Context, code string) error {
	var failed error
	err := c.kernel.Execute(ctx, kernel.Run{Code: code, Silent: true}, func(event kernel.Event) error {
		if failure, is := event.(kernel.Failure); is {
			failed = fmt.Errorf("%s: %s", failure.Name, failure.Value)
		}
		return nil
	})
	return errors.Join(err, failed)
}

// settle tells the client of a kernel's end, which is no fault of the request.
func (c *Context) settle(ctx context.Context, err error, emit kernel.Emit) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), kernel.ErrAbandoned), errors.Is(err, kernel.ErrGone):
		c.base = nil
		return emit(kernel.Restarted())
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return errors.Join(emit(kernel.Disconnected()), err)
	}
}

// restart empties the context.
func (c *Context) restart(ctx context.Context) error {
	if err := c.takeByForce(ctx, errRestarted); err != nil {
		return err
	}
	defer c.give()
	c.base = nil
	return c.kernel.Restart(ctx)
}

// remove ends the context's kernel.
func (c *Context) remove(ctx context.Context) error {
	if err := c.takeByForce(ctx, errRemoved); err != nil {
		return err
	}
	c.mu.Lock()
	c.removed = true
	c.mu.Unlock()
	c.give()
	return c.kernel.Close(ctx)
}
