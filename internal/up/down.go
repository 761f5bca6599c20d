package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// downTimeout is for all parts together.
const downTimeout = 3*stopTimeout + time.Minute

// Down stops the Wrenn of a data directory and waits until it is gone. Where
// none runs it says so.
func Down(ctx context.Context, dataDir string, out io.Writer) error {
	say := &terminal{out: out}
	absolute, err := filepath.Abs(dataDir)
	if err != nil {
		return err
	}
	layout := Layout{DataDir: absolute}
	pid, err := layout.runningPID()
	if err != nil {
		return fmt.Errorf("find the running Wrenn: %w", err)
	}
	if pid == 0 {
		say.Say(fmt.Sprintf("Wrenn is not running in %s", dataDir))
		return nil
	}
	started := time.Now()
	say.Say(fmt.Sprintf("stopping Wrenn (process %d): what runs is paused", pid))
	if err := unix.Kill(pid, unix.SIGTERM); errors.Is(err, unix.EPERM) {
		return fmt.Errorf("the running Wrenn (process %d) is not this user's to stop; run it with sudo", pid)
	} else if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop the running Wrenn (process %d): %w", pid, err)
	}
	if err := layout.awaitEnd(ctx, pid); err != nil {
		return err
	}
	say.Say(fmt.Sprintf("stopped after %s", time.Since(started).Round(time.Millisecond)))
	return nil
}

// awaitEnd waits until a process has let go of the data directory.
func (l Layout) awaitEnd(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		current, err := l.runningPID()
		if err != nil || current != pid {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the running Wrenn (process %d) has not stopped: %w; see %s", pid, ctx.Err(), l.logs())
		case <-poll.C:
		}
	}
}
