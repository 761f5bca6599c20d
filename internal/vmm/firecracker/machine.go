package firecracker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/firecracker-microvm/firecracker-go-sdk/client/models"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// machine is one virtual machine in a Firecracker process.
type machine struct {
	name    string
	maker   vmm.Maker
	process *vmm.Watched
	jail    *jail
	api     *api
	output  *os.File // of Firecracker; nil for an adopted machine
	memory  vmm.MemoryFile

	// restored: the guest's memory is mapped from the file.
	// recorded: Firecracker's record of changed pages may have been read, which
	// empties it, since the machine's start.
	restored bool
	recorded bool
}

var _ vmm.Machine = (*machine)(nil)

// Pause stops the virtual CPUs. Firecracker's disk requests are synchronous, so none is
// left.
func (m *machine) Pause(ctx context.Context) error {
	return m.call(ctx, "pause", func() error { return m.api.setState(ctx, models.VMStatePaused) })
}

// Resume starts the virtual CPUs again.
func (m *machine) Resume(ctx context.Context) error {
	return m.call(ctx, "resume", func() error { return m.api.setState(ctx, models.VMStateResumed) })
}

// call makes a call of the API. An error is vmm.ErrNotRunning if Firecracker has ended,
// before the call or during it.
func (m *machine) call(ctx context.Context, what string, do func() error) error {
	select {
	case <-m.process.Done():
		return fmt.Errorf("%s: %w: %s", what, vmm.ErrNotRunning, m.process.Reason())
	default:
	}
	err := do()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, err)
	var refused *refusal
	if errors.As(err, &refused) || ctx.Err() != nil {
		return err
	}
	// The connection broke: the process's end may be known a moment later.
	const moment = 100 * time.Millisecond
	select {
	case <-m.process.Done():
		return fmt.Errorf("%w: %s: %w", vmm.ErrNotRunning, m.process.Reason(), err)
	case <-time.After(moment):
		return err
	}
}

// Kill ends the process and waits for it.
func (m *machine) Kill(ctx context.Context) error {
	if err := m.process.Kill(ctx); err != nil {
		return fmt.Errorf("end Firecracker of %s: %w", m.name, err)
	}
	err := m.jail.takeBackDisk()
	m.closeHandles()
	return err
}

// Release closes the handles of the machine, which runs on.
func (m *machine) Release() {
	m.process.Release()
	m.closeHandles()
}

func (m *machine) closeHandles() {
	m.api.close()
	m.jail.close()
	if m.output != nil {
		m.output.Close()
	}
}

// Maker is the Firecracker that the machine was started with.
func (m *machine) Maker() vmm.Maker { return m.maker }

// Process is Firecracker's.
func (m *machine) Process() vmm.Process { return m.process.Process }

// Done is closed when Firecracker has ended.
func (m *machine) Done() <-chan struct{} { return m.process.Done() }

// ExitReason describes how Firecracker ended.
func (m *machine) ExitReason() string { return m.process.Reason() }
