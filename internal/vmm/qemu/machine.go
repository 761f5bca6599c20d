package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	monitorSocket = "monitor.sock"
	logFile       = "qemu.log"
	// emptyDirectory is all that a running QEMU sees of the file system.
	emptyDirectory = "empty"
)

// machine is one virtual machine in a QEMU process.
type machine struct {
	name    string
	process *vmm.Watched
	logPath string
	monitor *monitor
	memory  vmm.MemoryFile
}

var _ vmm.Machine = (*machine)(nil)

// spawn starts the process and the goroutine that waits for it.
func (d *Driver) spawn(spec vmm.Spec, how launch, lender *lender) (*machine, error) {
	memory, err := vmm.IdentifyMemory(how.files[0], spec.MemoryMiB)
	if err != nil {
		return nil, err
	}
	listener, err := listenMonitor(filepath.Join(spec.RunDir, monitorSocket))
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	logPath := filepath.Join(spec.RunDir, logFile)
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open QEMU's log: %w", err)
	}
	defer log.Close()

	command := exec.Command(d.binary, how.arguments...)
	command.Env = []string{"PATH=/usr/bin:/bin"}
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
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
	if err := d.confinement(spec, how.files...).start(command, lender); err != nil {
		return nil, err
	}
	identity, err := vmm.IdentifyProcess(command.Process.Pid)
	if err != nil {
		return nil, errors.Join(err, command.Wait())
	}
	watched, err := vmm.Watch(identity, "QEMU")
	if err != nil {
		return nil, errors.Join(err, command.Process.Kill(), command.Wait())
	}
	// From here on it is watched by its pidfd, as it would be had another
	// process started it.
	if err := command.Process.Release(); err != nil {
		return nil, errors.Join(err, watched.Kill(context.Background()))
	}
	return &machine{name: spec.Name, process: watched, logPath: logPath, memory: memory}, nil
}

// listenMonitor opens the monitor's socket before QEMU runs, so that a client
// can connect at once and never has to try again.
func listenMonitor(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old monitor socket: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for QEMU's monitor: %w", err)
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("protect QEMU's monitor: %w", err)
	}
	return listener.File()
}

// awaitRunning connects the monitor and returns once the guest executes.
func (m *machine) awaitRunning(ctx context.Context, socket string) error {
	connected, err := dialMonitor(ctx, socket, m.process.Done())
	if err != nil {
		return err
	}
	m.monitor = connected
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
			return fmt.Errorf("wait for the guest to run: %w (QEMU says %q)", ctx.Err(), status)
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

// Stalled says whether QEMU stopped the guest because its disk's file could not
// grow: the host is full. Resume has it try again.
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
	if m.monitor != nil {
		m.monitor.close()
	}
	return nil
}

// Release lets go of the machine, which runs on.
func (m *machine) Release() {
	m.process.Release()
	m.monitor.close()
}

// Process is QEMU's.
func (m *machine) Process() vmm.Process { return m.process.Process }

// Done is closed when QEMU has ended.
func (m *machine) Done() <-chan struct{} { return m.process.Done() }

// ExitReason says how QEMU ended.
func (m *machine) ExitReason() string { return m.process.Reason() }

// consoleOrLog returns the end of what QEMU printed, for an error message.
func (m *machine) consoleOrLog() string {
	const tailBytes = 2048
	file, err := os.Open(m.logPath)
	if err != nil {
		return ""
	}
	defer file.Close()
	if size, err := file.Seek(0, io.SeekEnd); err == nil {
		_, _ = file.Seek(max(0, size-tailBytes), io.SeekStart)
	}
	tail, _ := io.ReadAll(io.LimitReader(file, tailBytes))
	if tail = bytes.TrimSpace(tail); len(tail) == 0 {
		return ""
	}
	return fmt.Sprintf(" (QEMU said: %s)", tail)
}

// Console returns the last of what the guest wrote to its serial console.
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
