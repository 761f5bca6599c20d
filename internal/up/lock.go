package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pollEvery = 100 * time.Millisecond
	// orphanPatience is how long children of a killed wrenn up have to end: the host
	// agent pauses all sandboxes first.
	orphanPatience = time.Minute
)

// errLocked is returned when another process holds a lock.
var errLocked = errors.New("locked")

// lockFile takes a lock that belongs to the open file: it lasts until every
// process that has the file open, children included, has closed it or died.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &lock)
	if err == nil {
		return file, nil
	}
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = errLocked
	}
	return nil, errors.Join(err, file.Close())
}

// isLocked says whether another process has locked the file. It takes no lock: a
// process that wants it meanwhile would be refused.
func isLocked(file *os.File) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock)
	return lock.Type != unix.F_UNLCK, err
}

// takePIDFile claims the data directory for this process.
func (l Layout) takePIDFile() (*os.File, error) {
	if err := os.MkdirAll(l.run(), 0o755); err != nil {
		return nil, err
	}
	file, err := lockFile(l.pidFile())
	if err != nil {
		return nil, err
	}
	if err := writePID(file, os.Getpid()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// writePID overwrites the process ID in one write: other processes read the file
// without a lock.
func writePID(file *os.File, pid int) error {
	_, err := file.WriteAt(fmt.Appendf(nil, "%-10d\n", pid), 0)
	return err
}

// readPID returns the process that holds or last held the data directory; 0 if it has
// stopped in order.
func (l Layout) readPID() (int, error) {
	content, err := os.ReadFile(l.pidFile())
	text := strings.TrimSpace(string(content))
	if errors.Is(err, os.ErrNotExist) || err == nil && text == "" {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not a process ID: %w", l.pidFile(), err)
	}
	return pid, nil
}

// runningPID returns the process that holds the data directory; 0 if none does.
func (l Layout) runningPID() (int, error) {
	file, err := os.Open(l.pidFile())
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	locked, err := isLocked(file)
	if err != nil || !locked {
		return 0, err
	}
	return l.readPID()
}

// releasePIDFile unlocks the data directory. After a stop in order the file names no
// process.
func releasePIDFile(file *os.File, orderly bool) error {
	var err error
	if orderly {
		err = writePID(file, 0)
	}
	return errors.Join(err, file.Close())
}

// takeLifeline locks a file that every child inherits: it stays locked until the last
// child has ended. A start after a kill -9 so waits for the children of the killed
// wrenn up, and kills those that do not end.
func (l Layout) takeLifeline(ctx context.Context, say func(string)) (*os.File, error) {
	deadline := time.Now().Add(orphanPatience)
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for waited := false; ; waited = true {
		file, err := lockFile(l.lifeline())
		if !errors.Is(err, errLocked) {
			return file, err
		}
		if !waited {
			say("waiting for the processes of an earlier, killed wrenn up to end")
		}
		if time.Now().After(deadline) {
			if err := killHolders(l.lifeline()); err != nil {
				return nil, err
			}
			deadline = time.Now().Add(orphanPatience)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-poll.C:
		}
	}
}

// killHolders kills every process that has a file open.
func killHolders(path string) error {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return err
	}
	var failures []error
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != path {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil || pid == os.Getpid() {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			failures = append(failures, fmt.Errorf("kill process %d of an earlier wrenn up: %w", pid, err))
		}
	}
	return errors.Join(failures...)
}
