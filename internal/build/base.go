package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// buildBase makes the layer that a stage begins with.
func (s *stage) buildBase(ctx context.Context, base plan.Base) (err error) {
	switch {
	case base.Stage != nil:
		s.stageEnd = s.stages[*base.Stage]
	case base.BuildID != "":
		s.stageEnd, err = s.baseFromBuild(ctx, base.BuildID)
	case base.Image != nil:
		err = s.baseFromImage(ctx, base.Image)
	default:
		err = s.baseFromScratch(ctx)
	}
	return err
}

// baseFromBuild makes a layer of the disk of a build or snapshot.
func (a *attempt) baseFromBuild(ctx context.Context, buildID string) (stageEnd, error) {
	report := a.report(stepBase, stepBase)
	text := "FROM template " + buildID
	key := plan.NewKey("build", buildID, a.request.DiskMiB)
	if !a.request.Force {
		if entry, found := a.find(key); found {
			report.cached(text)
			return stageEnd{layerID: entry.LayerID, context: entry.Context}, nil
		}
	}
	made, err := a.config.Builds.Find(buildID)
	if err != nil {
		return stageEnd{}, &Failure{Cause: CauseBaseNotFound, cause: err, Message: "The template that this one is from is not on the host that builds it. Build it again, or choose another"}
	}
	report.announce(text)
	if made.DiskMiB > a.request.DiskMiB {
		report.say(fmt.Sprintf("The disk has the %d MiB of the template that this one is from", made.DiskMiB))
	}
	end, bytes, err := a.captureBuild(ctx, key, made)
	report.done(bytes)
	return end, err
}

// captureBuild runs a build for a moment: what its memory has not written yet is on the
// disk then.
func (a *attempt) captureBuild(ctx context.Context, key plan.Key, made *snapshot.Snapshot) (_ stageEnd, bytes int64, err error) {
	started, err := a.startMachine(ctx, made, made.Defaults)
	if err != nil {
		return stageEnd{}, 0, explainBoot(err)
	}
	defer func() { err = errors.Join(err, started.Stop()) }()
	begins, err := contextOf(ctx, started, made.Defaults)
	if err != nil {
		return stageEnd{}, 0, err
	}
	var entry layer.Entry
	err = started.Capture(ctx, a.disks, func(diskPath string) error {
		entry, bytes, err = a.addBase(ctx, key, diskPath, max(made.DiskMiB, a.request.DiskMiB), begins)
		return err
	})
	return stageEnd{layerID: entry.LayerID, context: begins}, bytes, err
}

// contextOf is the context of the steps after a build.
func contextOf(ctx context.Context, started *machine.Machine, defaults snapshot.Defaults) (plan.Context, error) {
	user := defaults.User
	if user == "" {
		user = plan.DefaultUser
	}
	found, err := started.Do(ctx, machine.Request{User: &machine.User{Name: user, MustExist: true}}, nil, nil)
	if err != nil {
		return plan.Context{}, err
	}
	begins := plan.NewContext(found.Name, found.Home)
	begins.Env = defaults.Environment
	if defaults.Workdir != "" {
		begins.Workdir = defaults.Workdir
	}
	return begins, nil
}

// addBase adds a layer of a disk that is enlarged to a size. The file system is enlarged
// when it is booted.
func (a *attempt) addBase(ctx context.Context, key plan.Key, diskPath string, diskMiB int, begins plan.Context) (layer.Entry, int64, error) {
	enlarged := filepath.Join(a.directory, "base")
	if err := a.disks.Clone(diskPath, enlarged); err != nil {
		return layer.Entry{}, 0, err
	}
	if err := a.disks.Enlarge(enlarged, diskMiB); err != nil {
		return layer.Entry{}, 0, errors.Join(err, os.Remove(enlarged))
	}
	entry, bytes, err := a.addLayer(ctx, layer.Added{
		TeamID: a.request.TeamID, Key: key, Disk: a.disks.Source(enlarged), DiskMiB: diskMiB, Context: begins,
	})
	return entry, bytes, errors.Join(err, os.Remove(enlarged))
}
