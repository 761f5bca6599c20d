package up

import (
	"context"
	"fmt"
	"time"
)

// joinRunning waits until the Wrenn that serves the data directory is ready, and prints
// how to use it. It returns true if that Wrenn has ended, so that the caller starts one.
func (c *Config) joinRunning(ctx context.Context, layout Layout, say *terminal) (gone bool, err error) {
	running, found, err := layout.awaitInstance(ctx, say)
	if err != nil || !found {
		return !found, err
	}
	pid, err := layout.runningPID()
	if err != nil {
		return false, err
	}
	if c.Replace {
		build, err := buildOf("/proc/self/exe", c.EnvdPath)
		if err != nil {
			return false, fmt.Errorf("identify this build: %w", err)
		}
		if build != running.Build {
			say.Say("another build of Wrenn is running; stopping it first")
			return true, Down(ctx, *c)
		}
	}
	if c.Listen != "" && c.Listen != running.Listen || c.Domain != "" && c.Domain != running.Domain {
		return false, fmt.Errorf("it is running already, with other settings (process %d, listening on %s for %s); stop it first: wrenn down --data-dir %s",
			pid, running.Listen, running.Domain, c.DataDir)
	}
	say.Say(fmt.Sprintf("Wrenn is running already (process %d), data in %s", pid, c.DataDir))
	return false, say.showUse(ctx, layout, running)
}

// awaitInstance waits until another wrenn up is ready; false means that it has ended
// first.
func (l Layout) awaitInstance(ctx context.Context, say *terminal) (instance, bool, error) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for waited := false; ; waited = true {
		pid, err := l.runningPID()
		if err != nil || pid == 0 {
			return instance{}, false, err
		}
		running, ready, err := l.readInstance(pid)
		if err != nil || ready {
			return running, ready, err
		}
		if !waited {
			say.Say(fmt.Sprintf("another wrenn up (process %d) is starting or stopping; waiting for it", pid))
		}
		select {
		case <-ctx.Done():
			return instance{}, false, ctx.Err()
		case <-poll.C:
		}
	}
}
