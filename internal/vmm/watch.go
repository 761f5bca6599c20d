package vmm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"
)

// Watched is a VMM's process whose end is waited for. The process need not be a child,
// and runs on when this one ends.
type Watched struct {
	Process
	program string
	handle  *os.File // a pidfd, which never refers to another process
	release sync.Once

	done    chan struct{} // closed when the process has ended, after reason is set
	reason  string
	watched chan struct{} // closed when the watching goroutine has ended
}

// Watch waits for a process's end in the background, until Release. Reason contains the
// program's name. A process that has ended is ErrNotRunning.
func Watch(identity Process, program string) (*Watched, error) {
	descriptor, err := unix.PidfdOpen(identity.ID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, fmt.Errorf("watch process %d: %w", identity.ID, ErrNotRunning)
	}
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", identity.ID, err)
	}
	w := &Watched{
		Process: identity, program: program, handle: os.NewFile(uintptr(descriptor), "pidfd"),
		done: make(chan struct{}), watched: make(chan struct{}),
	}
	connection, err := w.handle.SyscallConn()
	if err != nil {
		w.handle.Close()
		return nil, fmt.Errorf("watch process %d: %w", identity.ID, err)
	}
	go func() {
		defer close(w.watched)
		ended := false
		// The read is retried when the process ends, and fails when released.
		err := connection.Read(func(descriptor uintptr) bool {
			ended = isReadable(descriptor)
			return ended
		})
		if err == nil && ended {
			w.reason = w.reap()
			close(w.done)
		}
	}()
	return w, nil
}

// WatchAdopted is Watch for the process of a machine that another process started. A later
// process that got its number is ErrNotRunning.
func WatchAdopted(identity Process, program string) (*Watched, error) {
	watched, err := Watch(identity, program)
	if err != nil {
		return nil, err
	}
	// From here on the pidfd holds the number.
	if !identity.Runs() {
		watched.Release()
		return nil, ErrNotRunning
	}
	return watched, nil
}

// WatchCommand is Watch for a command that was just started. On error it ends the command.
func WatchCommand(command *exec.Cmd, program string) (*Watched, error) {
	watched, err := watchStarted(command.Process.Pid, program)
	if err != nil {
		// Waiting without the kill would last as long as the machine runs.
		return nil, errors.Join(err, endCommand(command))
	}
	// The pidfd is what it is watched by, as for a process that another one started.
	if err := command.Process.Release(); err != nil {
		return nil, errors.Join(err, watched.Kill(context.Background()))
	}
	return watched, nil
}

func watchStarted(id int, program string) (*Watched, error) {
	identity, err := IdentifyProcess(id)
	if err != nil {
		return nil, err
	}
	return Watch(identity, program)
}

// endCommand kills a command; its error includes how the command ended.
func endCommand(command *exec.Cmd) error {
	err := command.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, command.Wait())
}

// isReadable reports whether the process of a pidfd has ended.
// Source: pidfd_open(2).
func isReadable(descriptor uintptr) bool {
	polled := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
	n, err := unix.Poll(polled, 0)
	return err == nil && n > 0
}

// reap describes how the process ended. Only its parent learns the signal or status.
func (w *Watched) reap() string {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(w.ID, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return w.program + " ended"
		case status.Signaled():
			return fmt.Sprintf("%s ended: signal: %s", w.program, status.Signal())
		default:
			return fmt.Sprintf("%s ended: exit status %d", w.program, status.ExitStatus())
		}
	}
}

// Done is closed when the process has ended.
func (w *Watched) Done() <-chan struct{} { return w.done }

// Reason describes how the process ended; it is empty until Done is closed.
func (w *Watched) Reason() string {
	select {
	case <-w.done:
		return w.reason
	default:
		return ""
	}
}

// Kill ends the process and waits for it. It is idempotent.
func (w *Watched) Kill(ctx context.Context) error {
	select {
	case <-w.done:
		w.Release()
		return nil
	default:
	}
	connection, err := w.handle.SyscallConn()
	if err != nil {
		return fmt.Errorf("kill process %d: %w", w.ID, err)
	}
	var killErr error
	err = connection.Control(func(descriptor uintptr) {
		killErr = unix.PidfdSendSignal(int(descriptor), unix.SIGKILL, nil, 0)
	})
	if err := errors.Join(err, killErr); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", w.ID, err)
	}
	select {
	case <-w.done:
		w.Release()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d to end: %w", w.ID, ctx.Err())
	}
}

// Release stops the watching; the process runs on.
func (w *Watched) Release() {
	w.release.Do(func() {
		w.handle.Close()
		<-w.watched
	})
}
