package gvisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// machine is one sandbox that runs.
type machine struct {
	name      string
	maker     vmm.Maker
	control   control
	process   *vmm.Watched
	output    *os.File // nil for an adopted machine
	vcpuCount int
	memoryMiB int
	// paused is what the sandbox was told last: it counts pauses, and dies of a resume
	// without one.
	paused bool
	// pending is a pause or resume that its caller did not wait for; nil for none.
	pending *pendingCall
}

func parseMAC(text string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(text)
	if err != nil {
		return nil, fmt.Errorf("the guest's hardware address: %w", err)
	}
	return mac, nil
}

// awaitStarted waits for the byte with which the sandbox says that its control server
// runs.
func (m *machine) awaitStarted(ctx context.Context, started *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = started.SetReadDeadline(time.Unix(1, 0)) }) // the read ends without it only later
	defer stop()
	defer started.Close()
	if _, err := started.Read(make([]byte, 1)); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("wait for the sandbox: %w", err)
	}
	return nil
}

// running returns vmm.ErrNotRunning for a sandbox that has ended.
func (m *machine) running(what string) error {
	select {
	case <-m.process.Done():
		return fmt.Errorf("%s: %w: %s", what, vmm.ErrNotRunning, m.process.Reason())
	default:
		return nil
	}
}

// Pause stops all processes of the guest.
func (m *machine) Pause(ctx context.Context) error { return m.setPaused(ctx, "pause", callPause, true) }

// Resume lets them run on.
func (m *machine) Resume(ctx context.Context) error {
	return m.setPaused(ctx, "resume", callResume, false)
}

func (m *machine) setPaused(ctx context.Context, what, method string, paused bool) error {
	if err := m.running(what); err != nil {
		return err
	}
	if err := m.awaitPending(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if m.paused == paused {
		return nil
	}
	m.pending = m.begin(method, paused)
	if err := m.awaitPending(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, errors.Join(m.running(what), err))
	}
	return nil
}

// pendingCall is a pause or resume that is under way: the sandbox carries it out also when
// nobody waits for it.
type pendingCall struct {
	paused bool // what it will be
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended, after err is set
	err    error
}

func (m *machine) begin(method string, paused bool) *pendingCall {
	ctx, cancel := context.WithCancel(context.Background())
	call := &pendingCall{paused: paused, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(call.done)
		defer cancel()
		call.err = m.control.call(ctx, method, nil, nil, nil)
	}()
	return call
}

// awaitPending waits for the pause or resume that is under way, if there is one.
func (m *machine) awaitPending(ctx context.Context) error {
	if m.pending == nil {
		return nil
	}
	select {
	case <-m.pending.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	ended := m.pending
	m.pending = nil
	if ended.err == nil {
		m.paused = ended.paused
	}
	return ended.err
}

// learnPaused asks the sandbox, which another process started, whether its processes stand
// still.
func (m *machine) learnPaused(ctx context.Context) error {
	var stacks string
	if err := m.control.call(ctx, callStacks, nil, nil, &stacks); err != nil {
		return fmt.Errorf("ask whether the guest is paused: %w", err)
	}
	m.paused = allStopped(stacks)
	return nil
}

// Frames in the stack of a goroutine that runs a process of the guest. Source:
// pkg/sentry/kernel/task_run.go and task_stop.go in gVisor.
const (
	runsTask    = "kernel.(*Task).run("
	stoppedTask = "kernel.(*Task).doStop("
)

// allStopped reports whether every process of the guest is stopped.
func allStopped(stacks string) bool {
	tasks := 0
	for goroutine := range strings.SplitSeq(stacks, "\n\n") {
		if !strings.Contains(goroutine, runsTask) {
			continue
		}
		if !strings.Contains(goroutine, stoppedTask) {
			return false
		}
		tasks++
	}
	return tasks > 0
}

// Kill ends the sandbox and waits for its process.
func (m *machine) Kill(ctx context.Context) error {
	if err := m.process.Kill(ctx); err != nil {
		return fmt.Errorf("end runsc of %s: %w", m.name, err)
	}
	m.closeHandles()
	return nil
}

// Release closes the handles of the machine, which runs on.
func (m *machine) Release() {
	m.process.Release()
	m.closeHandles()
}

func (m *machine) closeHandles() {
	if m.pending != nil {
		m.pending.cancel()
		<-m.pending.done
	}
	closeAll(m.output, m.control.directory)
}

// Maker is the runsc that the machine was started with.
func (m *machine) Maker() vmm.Maker { return m.maker }

// Process is the sandbox's.
func (m *machine) Process() vmm.Process { return m.process.Process }

// Done is closed when the sandbox has ended.
func (m *machine) Done() <-chan struct{} { return m.process.Done() }

// ExitReason describes how it ended.
func (m *machine) ExitReason() string { return m.process.Reason() }

// Console returns the end of what the guest's first program and runsc have printed.
func (m *machine) Console(context.Context) (string, error) {
	if m.output == nil {
		return "", nil
	}
	return vmm.OutputEnd(m.output), nil
}
