package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	monitorSocket = "monitor.sock"
	// emptyDirectory is the root directory of a running QEMU.
	emptyDirectory = "empty"
)

// machine is one virtual machine in a QEMU process.
type machine struct {
	name    string
	maker   vmm.Maker
	process *vmm.Watched
	output  *os.File     // of QEMU; nil for an adopted machine
	monitor *monitor     // nil while it is started
	devices *deviceState // nil until the first snapshot
	memory  vmm.MemoryFile
}

var _ vmm.Machine = (*machine)(nil)

// spawn starts the process and the goroutine that waits for it.
func (d *Driver) spawn(spec vmm.Spec, how launch, opener *memoryOpener) (*machine, error) {
	memory, err := vmm.IdentifyMemory(how.files[0], spec.MemoryMiB)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(spec.RunDir, monitorSocket)
	listener, err := vmm.ListenSocket(socket)
	if err != nil {
		return nil, fmt.Errorf("listen for QEMU's monitor: %w", err)
	}
	defer listener.Close()
	output, err := vmm.OpenOutput()
	if err != nil {
		return nil, err
	}
	m := &machine{name: spec.Name, maker: d.Maker(), memory: memory, output: output}
	if m.process, err = d.run(spec, how, listener, output, opener); err != nil {
		return nil, errors.Join(err, output.Close())
	}
	if m.monitor, err = openMonitor(socket, m.process.Done()); err != nil {
		return nil, errors.Join(err, m.Kill(context.Background()))
	}
	return m, nil
}

// run starts the process and watches it.
func (d *Driver) run(spec vmm.Spec, how launch, listener, output *os.File, opener *memoryOpener) (*vmm.Watched, error) {
	command := exec.Command(d.binary, how.arguments...)
	command.Env = []string{"PATH=/usr/bin:/bin"}
	command.Dir = "/"
	command.Stdout, command.Stderr = output, output
	command.ExtraFiles = []*os.File{listener}
	if how.devices != nil {
		command.ExtraFiles = append(command.ExtraFiles, how.devices)
	}
	if err := os.MkdirAll(filepath.Join(spec.RunDir, emptyDirectory), 0o555); err != nil {
		return nil, fmt.Errorf("make QEMU's root directory: %w", err)
	}
	// A session of its own keeps a signal to the agent's group from the VM.
	command.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if spec.Cgroup != nil {
		command.SysProcAttr.UseCgroupFD, command.SysProcAttr.CgroupFD = true, int(spec.Cgroup.Fd())
	}
	if err := d.confinement(spec, how.files...).start(command, opener); err != nil {
		return nil, err
	}
	return vmm.WatchCommand(command, "QEMU")
}

// awaitRunning waits until QEMU runs the guest.
func (m *machine) awaitRunning(ctx context.Context) error {
	const pollEvery = time.Millisecond
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		status, err := m.status(ctx)
		if err != nil {
			return err
		}
		if status == "running" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the guest to run: %w (QEMU's state is %q)", ctx.Err(), status)
		case <-m.process.Done():
			return fmt.Errorf("%w: %s", vmm.ErrNotRunning, m.process.Reason())
		case <-poll.C:
		}
	}
}

func (m *machine) status(ctx context.Context) (string, error) {
	var answer struct {
		Status string `json:"status"`
	}
	err := m.monitor.execute(ctx, "query-status", nil, &answer)
	return answer.Status, err
}

// Stalled reports whether QEMU stopped the guest because its disk's file could not
// grow: the host's disk is full. Resume retries the write.
// Source: QEMU's qapi/run-state.json, io-error.
func (m *machine) Stalled(ctx context.Context) (bool, error) {
	status, err := m.status(ctx)
	return status == "io-error", err
}

// Pause stops the virtual CPUs; QEMU drains and flushes the disk as it does.
func (m *machine) Pause(ctx context.Context) error { return m.execute(ctx, "stop", nil) }

// Resume starts the virtual CPUs again.
func (m *machine) Resume(ctx context.Context) error { return m.execute(ctx, "cont", nil) }

func (m *machine) execute(ctx context.Context, command string, arguments any) error {
	select {
	case <-m.process.Done():
		return fmt.Errorf("%s: %w: %s", command, vmm.ErrNotRunning, m.process.Reason())
	default:
		return m.monitor.execute(ctx, command, arguments, nil)
	}
}

// Kill ends the process and waits for it.
func (m *machine) Kill(ctx context.Context) error {
	if err := m.process.Kill(ctx); err != nil {
		return fmt.Errorf("end QEMU of %s: %w", m.name, err)
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
	if m.monitor != nil {
		m.monitor.close()
	}
	if m.output != nil {
		m.output.Close()
	}
	if m.devices != nil {
		m.devices.close()
	}
}

// Maker is the QEMU that the machine was started with.
func (m *machine) Maker() vmm.Maker { return m.maker }

// Process is QEMU's.
func (m *machine) Process() vmm.Process { return m.process.Process }

// Done is closed when QEMU has ended.
func (m *machine) Done() <-chan struct{} { return m.process.Done() }

// ExitReason describes how QEMU ended.
func (m *machine) ExitReason() string { return m.process.Reason() }

// Console returns the end of the guest's output on its serial console.
func (m *machine) Console(ctx context.Context) (string, error) {
	var text string
	err := m.monitor.execute(ctx, "ringbuf-read", map[string]any{"device": "console", "size": consoleBytes}, &text)
	return text, err
}

// Snapshot writes device state and changed memory.
func (m *machine) Snapshot(ctx context.Context, into vmm.State) error {
	if err := m.saveDevices(ctx, into.DevicesPath); err != nil {
		return fmt.Errorf("save device state: %w", err)
	}
	if err := m.memory.WriteChanges(ctx, m.process.ID, into.MemoryPath); err != nil {
		return fmt.Errorf("save memory: %w", err)
	}
	return nil
}
