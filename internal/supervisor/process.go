// Package supervisor runs child processes that end with their parent, and restarts
// services that end.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// outputDelay is how long a child's output is read after the child has ended, if its own
// children keep it open.
const outputDelay = 2 * time.Second

// Process is a running child.
type Process struct {
	name    string
	command *exec.Cmd
	signals Signals
	done    chan struct{}
	err     error // why it ended; set before done is closed
}

// Signals are the signals that end a child.
type Signals struct {
	// Stop makes the child end in an orderly way.
	Stop syscall.Signal
	// Force ends the child at once; zero is SIGKILL.
	Force syscall.Signal
	// Orphan is sent by the kernel when the parent ends, even by SIGKILL.
	Orphan syscall.Signal
}

// Start runs a command in a process group of its own, so that Ctrl-C on a terminal
// interrupts the parent only. The caller must wait for Done.
func Start(name string, command *exec.Cmd, signals Signals) (*Process, error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	if signals.Force == 0 {
		signals.Force = syscall.SIGKILL
	}
	command.SysProcAttr.Setpgid = true
	command.SysProcAttr.Pdeathsig = signals.Orphan
	command.WaitDelay = outputDelay
	p := &Process{name: name, command: command, signals: signals, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run keeps one thread until the child has ended: the kernel sends Orphan when the thread
// that forked ends.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.command.Start(); err != nil {
		started <- err
		return
	}
	started <- nil
	p.err = p.command.Wait()
	close(p.done)
}

// PID is the child's process ID.
func (p *Process) PID() int { return p.command.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the child ended; nil for exit code 0. It is valid once Done is closed.
func (p *Process) Err() error { return p.err }

// Stop signals the child to end and waits for that. If ctx ends first, it ends the child
// by force and returns an error.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.command.Process.Signal(p.signals.Stop); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	if err := p.command.Process.Signal(p.signals.Force); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s by force: %w", p.name, err)
	}
	<-p.done
	return fmt.Errorf("%s did not stop in time and was ended by force: %w", p.name, ctx.Err())
}
