package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/guestdisk"
	"git.omukk.dev/wrenn/sandbox/internal/image"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// attempt is one run of a build. Its goroutine owns all fields but those that others may
// use.
type attempt struct {
	config  Config
	disks   guestdisk.Disks
	request plan.Request
	// The log, cancelled, cancel and done may be used by anyone.
	log       *buildlog.Log[Result]
	cancelled atomic.Bool
	cancel    context.CancelCauseFunc
	done      chan struct{} // closed when nothing of the attempt is left
	endedAt   atomic.Pointer[time.Time]

	directory string // of the VMs' files
	steps     int    // of all stages that are needed
	began     int    // how many of them have begun
	// stages are the ends of those that are built.
	stages map[int]stageEnd
	// used are the layers that the build went through, from the base on. They are held
	// until it ends.
	used        []string
	held        []func()
	imageDigest string
	images      map[string]*image.Image // those that were resolved, by reference
	vms         int                     // how many were started
	// repeated: a VM has ended on its own, and what it was at was done again.
	repeated bool
}

// stageEnd is the result of a stage.
type stageEnd struct {
	layerID string
	context plan.Context
}

func newAttempt(config Config, disks guestdisk.Disks, request plan.Request) *attempt {
	a := &attempt{
		config: config, disks: disks, request: request, log: buildlog.New[Result](), done: make(chan struct{}),
		directory: filepath.Join(config.Dir, request.BuildID), stages: make(map[int]stageEnd), images: make(map[string]*image.Image),
	}
	for i, needed := range request.Needed() {
		if needed {
			a.steps += len(request.Stages[i].Steps)
		}
	}
	return a
}

// finishedBefore is the attempt of a build that the host has.
func finishedBefore(made *snapshot.Snapshot) *attempt {
	a := &attempt{log: buildlog.New[Result](), cancel: func(error) {}, done: make(chan struct{})}
	a.finish(Result{Ready: made, ImageDigest: made.ImageDigest})
	close(a.done)
	return a
}

func (a *attempt) isRunning() bool {
	select {
	case <-a.done:
		return false
	default:
		return true
	}
}

// ended is when the attempt got its result.
func (a *attempt) ended() time.Time {
	if at := a.endedAt.Load(); at != nil {
		return *at
	}
	return time.Now()
}

func (a *attempt) finish(result Result) {
	now := time.Now()
	a.endedAt.Store(&now)
	a.log.Finish(result)
}

// run does everything and sets the result, unless the agent stops.
func (a *attempt) run(ctx context.Context) {
	began := time.Now()
	log := a.config.Log.With("build", a.request.BuildID, "team", a.request.TeamID)
	log.InfoContext(ctx, "build started", "template", a.request.TemplateID, "steps", a.steps)
	made, err := a.build(ctx)
	a.tidy()
	if err == nil {
		log.InfoContext(ctx, "build is ready", "took", time.Since(began), "vms", a.vms)
		a.log.AddAlways(buildlog.Info, stepFinalize, "[finalize] The template is ready")
		a.finish(Result{Ready: made, ImageDigest: a.imageDigest})
		return
	}
	if errors.Is(context.Cause(ctx), ErrClosed) && !a.cancelled.Load() {
		log.InfoContext(ctx, "build was ended, because the host agent stops", "error", err)
		return
	}
	failure := a.explain(ctx, err)
	if failure.Cause == CauseInternal {
		log.ErrorContext(ctx, "build failed", "step", failure.Step, "error", err)
	} else {
		log.InfoContext(ctx, "build failed", "step", failure.Step, "cause", failure.Cause, "error", err)
	}
	a.log.AddAlways(buildlog.Error, failure.Step, fmt.Sprintf("[%s] %s", a.prefixOf(failure.Step), failure.Message))
	a.finish(Result{Failure: failure, ImageDigest: a.imageDigest})
}

// build builds the stages that are needed, and finishes the last.
func (a *attempt) build(ctx context.Context) (*snapshot.Snapshot, error) {
	if err := os.MkdirAll(a.directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of a build: %w", err)
	}
	for i, needed := range a.request.Needed() {
		if !needed {
			continue
		}
		end, err := a.buildStage(ctx, i)
		if err != nil {
			return nil, err
		}
		a.stages[i] = end
	}
	return a.finishBuild(ctx, a.stages[len(a.request.Stages)-1])
}

// mayRepeat reports whether what has failed is to be done once more in another VM, because
// its own has ended for no fault of the build's. It is true once in a build.
func (a *attempt) mayRepeat(ctx context.Context, err error, report *report) bool {
	var dead *machine.DeadError
	if !errors.As(err, &dead) || isOutOfMemory(dead) || ctx.Err() != nil || a.repeated {
		return false
	}
	a.repeated = true
	a.config.Log.WarnContext(ctx, "a build's VM has ended on its own", "build", a.request.BuildID, "reason", dead.Reason)
	report.say("The VM has ended unexpectedly: once more in another")
	return true
}

// tidy lets go of what the build used.
func (a *attempt) tidy() {
	a.config.Layers.Touch(a.request.TeamID, slices.Compact(a.used)...)
	for _, release := range a.held {
		release()
	}
	if err := os.RemoveAll(a.directory); err != nil {
		a.config.Log.Error("remove the files of a build", "build", a.request.BuildID, "error", err)
	}
}

// hold keeps a layer until the build ends; it reports whether the layer is there.
func (a *attempt) hold(layerID string) (*snapshot.Snapshot, error) {
	disk, release, err := a.config.Layers.Use(a.request.TeamID, layerID)
	if err != nil {
		return nil, err
	}
	a.used, a.held = append(a.used, layerID), append(a.held, release)
	return disk, nil
}

// find finds the result of a step, whose layer it holds.
func (a *attempt) find(key plan.Key) (layer.Entry, bool) {
	entry, found := a.config.Layers.Find(a.request.TeamID, key)
	if !found || entry.LayerID == "" {
		return entry, found
	}
	if _, err := a.hold(entry.LayerID); err != nil {
		if !errors.Is(err, layer.ErrNotFound) {
			a.config.Log.Warn("a layer cannot be used", "layer", entry.LayerID, "error", err)
		}
		return layer.Entry{}, false
	}
	return entry, true
}
