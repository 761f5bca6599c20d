package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

const (
	// readyEvery is how long the ready command is not tried again after it has failed.
	readyEvery = 2 * time.Second
	// readyTimeout bounds how long the template may take to be ready.
	readyTimeout = 10 * time.Minute
	// warmTimeout bounds the first command, which only fills the guest's caches.
	warmTimeout = time.Minute
)

// launch starts what runs in a template's guests, in one that has booted and of which a
// snapshot is taken then.
type launch struct {
	guest    *machine.Machine
	defaults snapshot.Defaults
	start    snapshot.Start
	report   *report
	log      *slog.Logger
}

func (l launch) run(ctx context.Context) error {
	if err := setPath(ctx, l.guest, l.defaults.Environment); err != nil {
		return err
	}
	l.warmUp(ctx)
	return l.startAndWait(ctx)
}

// warmUp runs a command that does nothing: what each first command reads is in the
// snapshot's memory then.
func (l launch) warmUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	if _, err := l.guest.Execute(ctx, l.command(plan.Run{Command: "true"}), envdclient.Follower{}); err != nil {
		l.log.WarnContext(ctx, "warm a template up", "error", err)
	}
}

// command is one in the template, without the arguments of the build.
func (l launch) command(run plan.Run) envdclient.Command {
	arguments := plan.Context{}.Arguments(run)
	return envdclient.Command{
		Path: arguments[0], Arguments: arguments[1:], User: l.defaults.User, Directory: l.defaults.Workdir, Environment: l.defaults.Environment,
	}
}

// startAndWait runs the start command, and waits until the ready command succeeds. The
// start command goes on in the snapshot.
func (l launch) startAndWait(ctx context.Context) error {
	ended := make(chan error, 1)
	if l.start.Runs() {
		// Its deadline would end it in the sandboxes of the template.
		following, disconnect := context.WithCancel(context.WithoutCancel(ctx))
		followed := make(chan struct{})
		defer func() { disconnect(); <-followed }()
		began := make(chan struct{})
		go func() {
			defer close(followed)
			ended <- l.runStart(following, began)
		}()
		select {
		case <-began:
		case err := <-ended:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.start.Ready == "" {
		return nil
	}
	return l.awaitReady(ctx, ended)
}

// runStart returns nil when the command has succeeded or the context was cancelled. Its
// output is the template's log.
func (l launch) runStart(ctx context.Context, began chan<- struct{}) error {
	run := plan.Run{Command: l.start.Command, Exec: l.start.Exec}
	text := commandText(run)
	l.report.say("Start: " + text)
	stdout, stderr := l.report.streams(nil)
	exit, err := l.guest.Execute(ctx, l.command(run), envdclient.Follower{
		Started: func(uint32) { close(began) },
		Stdout:  func(data []byte) { _, _ = stdout.Write(data) },
		Stderr:  func(data []byte) { _, _ = stderr.Write(data) },
	})
	stdout.Close()
	stderr.Close()
	var unstarted *envdclient.StartError
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &unstarted):
		return l.report.failed(&Failure{
			Cause: CauseInvalidStep, Command: text, ExitCode: -1, cause: err,
			Message: fmt.Sprintf("The start command %s could not be started: %s", quote(text), buildlog.Clean(unstarted.Error())),
		})
	case err != nil:
		return err
	case !exit.Succeeded():
		return l.report.failed(&Failure{
			Cause: CauseCommandFailed, Command: text, ExitCode: exit.Code,
			Message: fmt.Sprintf("The start command %s ended before the template was ready: %s", quote(text), exitText(exit)),
		})
	default:
		return nil
	}
}

// awaitReady tries the ready command until it succeeds. A start command that fails
// meanwhile ends the wait; one that has succeeded may have left something that runs.
func (l launch) awaitReady(ctx context.Context, startEnded <-chan error) error {
	waiting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	text := l.start.Ready
	l.report.say("Wait until this succeeds: " + text)
	again := time.NewTimer(0)
	defer again.Stop()
	last := "it did not end"
	for {
		select {
		case err := <-startEnded:
			if err != nil {
				return err
			}
			startEnded = nil
			continue
		case <-waiting.Done():
		case <-again.C:
			exit, err := l.guest.Execute(waiting, l.command(plan.Run{Command: text}), envdclient.Follower{})
			if err == nil && exit.Succeeded() {
				return nil
			}
			if err == nil {
				last = exitText(exit)
			} else if waiting.Err() == nil {
				return err
			}
			again.Reset(readyEvery)
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return l.report.failed(&Failure{Cause: CauseNotReady, Command: text, Message: fmt.Sprintf(
			"The template was not ready after %s: the ready command %s did not succeed (last: %s). Look at what the start command printed",
			describe(readyTimeout), quote(text), strings.TrimSpace(last))})
	}
}
