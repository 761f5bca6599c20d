package build

import (
	"context"
	"errors"
	"slices"

	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
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
	if f.mayRepeat(ctx, err, f.report) {
		made, err = f.make(ctx, key)
	}
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
	start  snapshot.Start
}

// startCommand is what runs in the template.
func (f *finish) startCommand() snapshot.Start {
	start := snapshot.Start{Ready: f.request.ReadyCommand}
	if f.request.StartCommand != "" {
		start.Command = f.request.StartCommand
	} else if f.request.UseImageCommand {
		start.Exec = slices.Concat(f.context.Entrypoint, f.context.Command)
	}
	return start
}

// key stands for everything that the snapshot depends on, its own format included.
func (f *finish) key() plan.Key {
	const format = "finish with its start"
	r := f.request
	return plan.NewKey(format, f.layerID, f.context, r.VCPUCount, r.MemoryMiB, f.start, r.Init, f.config.VMM, f.config.BootHash)
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
	of := launch{guest: started, defaults: f.defaults(), start: f.start, report: f.report, log: f.config.Log.With("build", f.request.BuildID)}
	if err := of.run(ctx); err != nil {
		return nil, err
	}
	return started.TakeSnapshot(ctx, snapshot.Manifest{
		BuildID: f.request.BuildID, VCPUCount: f.request.VCPUCount, MemoryMiB: f.request.MemoryMiB, DiskMiB: disk.DiskMiB,
		EnvdVersion: f.config.EnvdVersion, Defaults: f.defaults(), Start: &f.start, FinishKey: string(key), ImageDigest: f.imageDigest,
	}, disk.DiskPath(), f.config.Builds.Path(f.request.BuildID))
}
