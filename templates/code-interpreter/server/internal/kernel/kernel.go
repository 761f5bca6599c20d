// Package kernel says what a kernel is: a process that runs code in one language,
// keeps its state between runs, and tells what the code printed, showed and returned.
package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// ErrGone is returned where a kernel ended during a run. Its state is lost; the next
// run starts a new one.
var ErrGone = errors.New("the kernel ended")

// ErrAbandoned is the cause of a context whose kernel is to be restarted or closed next:
// there is nothing to interrupt.
var ErrAbandoned = errors.New("the kernel is ended")

// Kernel runs code. One run at a time: the caller takes care of that.
type Kernel interface {
	// Execute runs code and passes on what it does, until the code has ended. When ctx
	// ends or emit fails, the code is interrupted, but for ErrAbandoned; Execute returns once the kernel is
	// idle, or after InterruptGrace.
	Execute(ctx context.Context, run Run, emit Emit) error
	// Restart ends the kernel's process and starts another with nothing in it.
	Restart(ctx context.Context) error
	// Close ends the kernel for good.
	Close(ctx context.Context) error
}

// InterruptGrace is how long an interrupted run may take to end. Code may ignore an
// interrupt; the next run then waits for it in the kernel.
const InterruptGrace = 5 * time.Second

// interruptInterval is between the interrupts of one run.
const interruptInterval = 500 * time.Millisecond

// Interrupt interrupts a run until its end, as wait tells it, but for no longer than
// InterruptGrace. One interrupt is not enough: it is lost on a process that is about to
// begin the code, or to start another program for it.
func Interrupt(ctx context.Context, interrupt func(context.Context) error, wait func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), InterruptGrace)
	defer cancel()
	for {
		if err := interrupt(ctx); err != nil {
			return err
		}
		trying, stop := context.WithTimeout(ctx, interruptInterval)
		err := wait(trying)
		stop()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// Run is code to run.
type Run struct {
	Code string
	// Silent runs are the server's own: they count nothing and show nothing.
	Silent bool
}

// Emit takes an event of a run. An error ends the run.
type Emit func(Event) error

// Event is one of Output, Result, Failure and Count.
type Event interface{ event() }

// Output is text that the code wrote to one of its streams.
type Output struct {
	Stderr bool
	Text   string
	At     time.Time
}

// Result is a value that the code returned, or something it displayed, in one or more
// formats.
type Result struct {
	// Main is true for the value of the last expression.
	Main bool
	// Data are representations by MIME type.
	Data map[string]json.RawMessage
}

// Failure is an error that ended the code.
type Failure struct {
	Name, Value, Traceback string
}

// Count is the number of the run within the kernel.
type Count struct{ N int }

func (Output) event()  {}
func (Result) event()  {}
func (Failure) event() {}
func (Count) event()   {}

// Restarted tells that the kernel ended during a run, in the words of E2B's server.
func Restarted() Failure {
	return Failure{Name: "ContextRestarting", Value: "The kernel ended during the run and was started anew: its variables are lost"}
}

// Disconnected tells that the connection to the kernel was lost during a run.
func Disconnected() Failure {
	return Failure{Name: "UnexpectedEndOfExecution", Value: "The connection to the kernel was lost before the run ended"}
}
