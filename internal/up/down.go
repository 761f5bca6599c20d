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

// downTimeout bounds the stop of all parts together.
const downTimeout = 3*stopTimeout + time.Minute

// Down stops the Wrenn that serves a data directory and waits until it has ended. If
// that one was killed, before or meanwhile, Down pauses the sandboxes that it left
// running.
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
	say.Say(fmt.Sprintf("stopping Wrenn (process %d); all sandboxes are paused", pid))
	if err := unix.Kill(pid, unix.SIGTERM); errors.Is(err, unix.EPERM) {
		return fmt.Errorf("the running Wrenn (process %d) belongs to another user; run it with sudo", pid)
	} else if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop the running Wrenn (process %d): %w", pid, err)
	}
	killed, err := layout.awaitEnd(ctx, pid)
	if err != nil {
		return err
	}
	if killed {
		return config.endAbandoned(ctx, say)
	}
	say.Say(fmt.Sprintf("stopped after %s", time.Since(started).Round(time.Millisecond)))
	return nil
}

// downWithoutProcess handles a data directory that no process serves.
func (c *Config) downWithoutProcess(ctx context.Context, layout Layout, say *terminal) error {
	last, err := layout.readPID()
	if err != nil {
		return fmt.Errorf("find out whether the last Wrenn stopped in order: %w", err)
	}
	if last == 0 {
		say.Say(fmt.Sprintf("Wrenn is not running in %s", c.DataDir))
		return nil
	}
	return c.endAbandoned(ctx, say)
}

// endAbandoned pauses the VMs of a Wrenn that was killed, which run on without it: it
// starts a host agent, which adopts them, and stops it, which pauses them and removes
// what is left of networks and mounts.
func (c *Config) endAbandoned(ctx context.Context, say *terminal) error {
	layout, err := c.openDataDir(ctx)
	if err != nil {
		return err
	}
	pidFile, err := layout.takePIDFile()
	if errors.Is(err, errLocked) {
		return errors.New("another wrenn up or wrenn down uses this data directory; try again when it has ended")
	}
	if err != nil {
		return fmt.Errorf("claim the data directory: %w", err)
	}
	say.Say("the last Wrenn here was killed; starting a host agent that pauses what it left running")
	ctx, forced, release := interruptible(ctx)
	defer release()
	s, ctx := newStack(ctx, *c, layout, say)
	err = s.steps.Start(ctx, append(s.preparation(), boot.Step{Name: "start the host agent", Do: s.startHostAgent})...)
	err = errors.Join(err, s.stop(forced))
	return errors.Join(err, releasePIDFile(pidFile, err == nil))
}

// awaitEnd waits until a process no longer holds the data directory, and returns
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
