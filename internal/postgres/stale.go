package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// staleTimeout bounds the stop of a server that an earlier run has left.
const staleTimeout = time.Minute

// endStale stops a server that an earlier run has left, and removes a lock file whose
// process has ended or is another program: PostgreSQL refuses to start while any process
// has the ID in the file.
func (c Config) endStale(ctx context.Context) error {
	lockFile := filepath.Join(c.clusterDir(), "postmaster.pid")
	pid, err := readPID(lockFile)
	if err != nil || pid == 0 {
		return err
	}
	if c.servedBy(pid) {
		if err := c.stopStale(ctx, pid); err != nil {
			return err
		}
	}
	for _, stale := range []string{
		lockFile,
		filepath.Join(c.SocketDir, socketName+".lock"),
		filepath.Join(c.SocketDir, socketName),
	} {
		if err := os.Remove(stale); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove stale database lock: %w", err)
		}
	}
	return nil
}

// servedBy says whether a process is this cluster's server: a server's working
// directory is its cluster's.
func (c Config) servedBy(pid int) bool {
	working, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	cluster, err := filepath.EvalSymlinks(c.clusterDir())
	return err == nil && working == cluster
}

// stopStale requests a fast shutdown, then an immediate one, after which the next start
// recovers. It does not kill the server: its session processes would be left.
func (c Config) stopStale(ctx context.Context, pid int) error {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, signal); errors.Is(err, syscall.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("stop the database server of an earlier run (process %d): %w", pid, err)
		}
		if c.awaitEnd(ctx, pid) {
			return nil
		}
	}
	return fmt.Errorf("the database server of an earlier run (process %d) does not stop; run: kill -9 %d", pid, pid)
}

func (c Config) awaitEnd(ctx context.Context, pid int) bool {
	ctx, cancel := context.WithTimeout(ctx, staleTimeout)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for c.servedBy(pid) {
		select {
		case <-ctx.Done():
			return false
		case <-poll.C:
		}
	}
	return true
}

// readPID reads the first line of a lock file; 0 means that there is none.
func readPID(path string) (int, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read database lock: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		// A crash can leave the file empty.
		return 0, os.Remove(path)
	}
	return pid, nil
}
