package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// process is a running QEMU, whoever started it. It outlives this program
// unless it is killed.
type process struct {
	vmm.Process
	handle  *os.File // a pidfd: it cannot come to mean another process
	release sync.Once

	done    chan struct{} // closed when QEMU has ended, after reason is set
	reason  string
	watched chan struct{} // closed when nobody watches any more
}

// watch follows a process until it ends or is released.
func watch(identity vmm.Process) (*process, error) {
	descriptor, err := unix.PidfdOpen(identity.ID, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", identity.ID, err)
	}
	p := &process{
		Process: identity, handle: os.NewFile(uintptr(descriptor), "pidfd"),
		done: make(chan struct{}), watched: make(chan struct{}),
	}
	connection, err := p.handle.SyscallConn()
	if err != nil {
		p.handle.Close()
		return nil, fmt.Errorf("watch process %d: %w", identity.ID, err)
	}
	go func() {
		defer close(p.watched)
		ended := false
		// The read is retried when the process ends, and fails when released.
		err := connection.Read(func(uintptr) bool {
			ended = p.hasEnded()
			return ended
		})
		if err == nil && ended {
			p.reason = p.reap()
			close(p.done)
		}
	}()
	return p, nil
}

func (p *process) hasEnded() bool {
	connection, err := p.handle.SyscallConn()
	if err != nil {
		return false
	}
	ended := false
	_ = connection.Control(func(descriptor uintptr) {
		polled := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, 0)
		ended = err == nil && n > 0
	})
	return ended
}

// reap says how the process ended, which only its parent is told.
func (p *process) reap() string {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(p.ID, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return "QEMU ended"
		case status.Signaled():
			return fmt.Sprintf("QEMU ended: signal: %s", status.Signal())
		default:
			return fmt.Sprintf("QEMU ended: exit status %d", status.ExitStatus())
		}
	}
}

// kill ends the process and waits for it.
func (p *process) kill(ctx context.Context) error {
	connection, err := p.handle.SyscallConn()
	if err != nil {
		return fmt.Errorf("kill process %d: %w", p.ID, err)
	}
	var killErr error
	err = connection.Control(func(descriptor uintptr) {
		killErr = unix.PidfdSendSignal(int(descriptor), unix.SIGKILL, nil, 0)
	})
	if err := errors.Join(err, killErr); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.ID, err)
	}
	select {
	case <-p.done:
		p.letGo()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d to end: %w", p.ID, ctx.Err())
	}
}

// letGo ends the watching, not the process.
func (p *process) letGo() {
	p.release.Do(func() {
		p.handle.Close()
		<-p.watched
	})
}
