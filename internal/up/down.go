package up

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/boot"
)

// downTimeout is for all parts together.
const downTimeout = 3*stopTimeout + time.Minute

// Down stops the Wrenn of a data directory and waits until it is gone. What one
// that was killed, before or meanwhile, has left running is paused. Where nothing
// runs it says so.
func Down(ctx context.Context, config Config) error {
	say := &terminal{out: config.Out}
	absolute, err := filepath.Abs(config.DataDir)
	if err != nil {
		return err
	}
	layout := Layout{DataDir: absolute}
	pid, err := layout.runningPID()
	if err != nil {
		return fmt.Errorf("find the running Wrenn: %w", err)
	}
	if pid == 0 {
		return config.downWithoutProcess(ctx, layout, say)
	}
	started := time.Now()
	say.Say(fmt.Sprintf("stopping Wrenn (process %d): what runs is paused", pid))
	if err := unix.Kill(pid, unix.SIGTERM); errors.Is(err, unix.EPERM) {
		return fmt.Errorf("the running Wrenn (process %d) is not this user's to stop; run it with sudo", pid)
	} else if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop the running Wrenn (process %d): %w", pid, err)
	}
	killed, err := layout.awaitEnd(ctx, pid)
	if err != nil {
		return err
	}
	if killed { // perhaps even before it was asked to stop
		return config.endAbandoned(ctx, say)
	}
	say.Say(fmt.Sprintf("stopped after %s", time.Since(started).Round(time.Millisecond)))
	return nil
}

// downWithoutProcess is for a data directory that no process holds.
func (c Config) downWithoutProcess(ctx context.Context, layout Layout, say *terminal) error {
	last, err := layout.readPID()
	if err != nil {
		return fmt.Errorf("find out how the last Wrenn ended: %w", err)
	}
	if last == 0 {
		say.Say(fmt.Sprintf("Wrenn is not running in %s", c.DataDir))
		return nil
	}
	return c.endAbandoned(ctx, say)
}

// endAbandoned ends what a Wrenn that was killed has left: its VMs run on without
// it. A host agent finds them, and when it ends it pauses them and cleans up.
func (c Config) endAbandoned(ctx context.Context, say *terminal) error {
	c, layout, err := c.openDataDir(ctx)
	if err != nil {
		return err
	}
	pidFile, err := layout.takePIDFile()
	if errors.Is(err, errLocked) {
		return errors.New("a wrenn up or wrenn down is at work in this data directory; try again when it has ended")
	}
	if err != nil {
		return fmt.Errorf("claim the data directory: %w", err)
	}
	say.Say("the last Wrenn here did not stop in order: a host agent looks for what it left running, and pauses it")
	ctx, forced, release := interruptible(ctx)
	defer release()
	s, ctx := newStack(ctx, c, layout, say)
	err = s.steps.Start(ctx, append(s.preparation(), boot.Step{Name: "start the host agent", Do: s.startHostAgent})...)
	err = errors.Join(err, s.stop(forced))
	return errors.Join(err, releasePIDFile(pidFile, err == nil))
}

// awaitEnd waits until a process has let go of the data directory, and says
// whether it was killed before it had stopped in order.
func (l Layout) awaitEnd(ctx context.Context, pid int) (killed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		current, err := l.runningPID()
		if err != nil {
			return false, err
		}
		if current != pid {
			last, err := l.readPID()
			return last == pid, err
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("the running Wrenn (process %d) has not stopped: %w; see %s", pid, ctx.Err(), l.logs())
		case <-poll.C:
		}
	}
}
