package build

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// finishBuild makes the template's snapshot of the last stage, or finds one that was made
// of the same.
func (a *attempt) finishBuild(ctx context.Context, end stageEnd) (_ *snapshot.Snapshot, err error) {
	defer func() {
		if err != nil {
			err = &stepError{step: stepFinalize, err: err}
		}
	}()
	f := finish{attempt: a, stageEnd: end, report: a.report(stepFinalize, stepFinalize)}
	f.start = f.startCommand()
	key := f.key()
	if !a.request.Force {
		if made, found := a.config.Builds.FindFinished(string(key)); found {
			shared, err := made.Share(a.request.BuildID, a.config.Builds.Path(a.request.BuildID))
			if err == nil {
				f.report.cached("Start the template and take its snapshot")
				a.config.Builds.Add(shared)
				return shared, nil
			}
			a.config.Log.WarnContext(ctx, "a finished build cannot be used again", "build", made.BuildID, "error", err)
		}
	}
	f.report.announce("Start the template and take its snapshot")
	made, err := f.make(ctx, key)
	f.report.done(0)
	if err != nil {
		return nil, err
	}
	a.config.Builds.Add(made)
	return made, nil
}

// finish is the end of a build.
type finish struct {
	*attempt
	stageEnd
	report *report
	start  plan.Run // zero for none
}

// startCommand is what runs in the template.
func (f *finish) startCommand() plan.Run {
	if f.request.StartCommand != "" {
		return plan.Run{Command: f.request.StartCommand}
	}
	if f.request.UseImageCommand {
		return plan.Run{Exec: slices.Concat(f.context.Entrypoint, f.context.Command)}
	}
	return plan.Run{}
}

func (f *finish) hasStart() bool { return f.start.Command != "" || len(f.start.Exec) > 0 }

// key stands for everything that the snapshot depends on.
func (f *finish) key() plan.Key {
	r := f.request
	return plan.NewKey("finish", f.layerID, f.context, r.VCPUCount, r.MemoryMiB, f.start, r.ReadyCommand, r.Init, f.config.VMM, f.config.BootHash)
}

func (f *finish) defaults() snapshot.Defaults {
	return snapshot.Defaults{User: f.context.User, Workdir: f.context.Workdir, Environment: f.context.Env}
}

func (f *finish) make(ctx context.Context, key plan.Key) (_ *snapshot.Snapshot, err error) {
	disk, err := f.hold(f.layerID)
	if err != nil {
		return nil, err
	}
	started, err := f.boot(ctx, f.layerID, f.defaults())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, started.Stop()) }()
	if err := setPath(ctx, started, f.context.Env); err != nil {
		return nil, err
	}
	f.warmUp(ctx, started)
	if err := f.startAndWait(ctx, started); err != nil {
		return nil, err
	}
	return started.TakeSnapshot(ctx, snapshot.Manifest{
		BuildID: f.request.BuildID, VCPUCount: f.request.VCPUCount, MemoryMiB: f.request.MemoryMiB, DiskMiB: disk.DiskMiB,
		EnvdVersion: f.config.EnvdVersion, Defaults: f.defaults(), FinishKey: string(key), ImageDigest: f.imageDigest,
	}, f.config.Builds.Path(f.request.BuildID))
}

// warmUp runs a command that does nothing: what each first command reads is in the
// snapshot's memory then.
func (f *finish) warmUp(ctx context.Context, in *machine.Machine) {
	ctx, cancel := context.WithTimeout(ctx, warmTimeout)
	defer cancel()
	if _, err := in.Execute(ctx, f.command(plan.Run{Command: "true"}), envdclient.Follower{}); err != nil {
		f.config.Log.WarnContext(ctx, "warm a template up", "build", f.request.BuildID, "error", err)
	}
}

// command is one in the template, without the arguments of the build.
func (f *finish) command(run plan.Run) envdclient.Command {
	arguments := plan.Context{}.Arguments(run)
	return envdclient.Command{
		Path: arguments[0], Arguments: arguments[1:], User: f.context.User, Directory: f.context.Workdir, Environment: f.context.Env,
	}
}

// startAndWait runs the start command, and waits until the ready command succeeds. The
// start command goes on in the snapshot.
func (f *finish) startAndWait(ctx context.Context, in *machine.Machine) error {
	ended := make(chan error, 1)
	if f.hasStart() {
		// Its deadline would end it in the sandboxes of the template.
		following, disconnect := context.WithCancel(context.WithoutCancel(ctx))
		followed := make(chan struct{})
		defer func() { disconnect(); <-followed }()
		began := make(chan struct{})
		go func() {
			defer close(followed)
			ended <- f.runStart(following, in, began)
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
	if f.request.ReadyCommand == "" {
		return nil
	}
	return f.awaitReady(ctx, in, ended)
}

// runStart returns nil when the command has succeeded or the context was cancelled. Its
// output is the template's log.
func (f *finish) runStart(ctx context.Context, in *machine.Machine, began chan<- struct{}) error {
	text := commandText(f.start)
	f.report.say("Start: " + text)
	stdout, stderr := f.report.streams(nil)
	exit, err := in.Execute(ctx, f.command(f.start), envdclient.Follower{
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
		return f.report.failed(&Failure{
			Cause: CauseInvalidStep, Command: text, ExitCode: -1, cause: err,
			Message: fmt.Sprintf("The start command %s could not be started: %s", quote(text), buildlog.Clean(unstarted.Error())),
		})
	case err != nil:
		return err
	case !exit.Succeeded():
		return f.report.failed(&Failure{
			Cause: CauseCommandFailed, Command: text, ExitCode: exit.Code,
			Message: fmt.Sprintf("The start command %s ended before the template was ready: %s", quote(text), exitText(exit)),
		})
	default:
		return nil
	}
}

// awaitReady tries the ready command until it succeeds. A start command that fails
// meanwhile ends the wait; one that has succeeded may have left something that runs.
func (f *finish) awaitReady(ctx context.Context, in *machine.Machine, startEnded <-chan error) error {
	waiting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	text := f.request.ReadyCommand
	f.report.say("Wait until this succeeds: " + text)
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
			exit, err := in.Execute(waiting, f.command(plan.Run{Command: text}), envdclient.Follower{})
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
		return f.report.failed(&Failure{Cause: CauseNotReady, Command: text, Message: fmt.Sprintf(
			"The template was not ready after %s: the ready command %s did not succeed (last: %s). Look at what the start command printed",
			describe(readyTimeout), quote(text), strings.TrimSpace(last))})
	}
}
