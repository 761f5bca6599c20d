package build

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/size"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Sizer makes snapshots of builds with other sizes. Of its Config it uses what starts VMs.
type Sizer struct{ Config Config }

var _ size.Maker = Sizer{}

// sizeTimeout bounds the making of one snapshot: a boot, and the wait until it is ready.
const sizeTimeout = 15 * time.Minute

// Make boots what a build left before its start command ran, runs that command and takes
// the snapshot. When it fails nothing is left. The error is a Failure where the owner of the
// template can do something about it.
func (s Sizer) Make(ctx context.Context, wanted size.Wanted) (_ *snapshot.Snapshot, err error) {
	release, err := s.Config.Admit(wanted.Size)
	if err != nil {
		return nil, err
	}
	defer release()
	limited, stop := context.WithTimeout(ctx, sizeTimeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(limited)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watchRoom(ctx, s.Config.Dir, s.Config.ReserveBytes, cancel)
	}()
	defer func() { cancel(nil); <-watched }()
	made, err := s.make(ctx, wanted)
	if err != nil {
		return nil, explainSize(ctx, wanted.Size, err)
	}
	return made, nil
}

func (s Sizer) make(ctx context.Context, wanted size.Wanted) (_ *snapshot.Snapshot, err error) {
	base := wanted.Base.Resized(wanted.Size.VCPUCount, wanted.Size.MemoryMiB, wanted.Size.DiskMiB)
	name := "size-" + strings.ToLower(rand.Text())
	started, err := s.Config.Guests.Start(ctx, machine.Spec{
		Name: name, Directory: filepath.Join(s.Config.Dir, name),
		VCPUCount: base.VCPUCount, MemoryMiB: base.MemoryMiB, Defaults: base.Defaults,
	}, base)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, started.Stop()) }()
	of := launch{
		guest: started, defaults: base.Defaults,
		report: &report{log: sizeLog(wanted.Told), step: stepFinalize, began: time.Now(), quiet: true},
		log:    s.Config.Log.With("build", base.BuildID),
	}
	if base.Start != nil {
		of.start = *base.Start
	}
	if err := of.run(ctx); err != nil {
		return nil, err
	}
	manifest := base.Manifest
	manifest.DiskOnly, manifest.EnvdVersion, manifest.Name, manifest.FinishKey, manifest.Start = false, s.Config.EnvdVersion, "", "", nil
	return started.TakeSnapshot(ctx, manifest, "", wanted.Directory)
}

// sizeLog is called with what a report says.
type sizeLog func(text string)

func (l sizeLog) Add(_ buildlog.Level, _, text string) { l(text) }
func (sizeLog) SetStep(buildlog.StepState)             {}

// explainSize makes a Failure of what the owner of the template can do something about.
func explainSize(ctx context.Context, of admission.Size, err error) error {
	explained := &Failure{Step: stepFinalize, cause: err}
	var known *Failure
	var dead *machine.DeadError
	words, booted := bootFailure(err)
	switch {
	case errors.Is(context.Cause(ctx), errHostFull):
		return fmt.Errorf("%w: %w", admission.ErrNoRoom, errHostFull)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		explained.Cause, explained.Message = CauseTimedOut, fmt.Sprintf("The template was not ready after %s", describe(sizeTimeout))
	case ctx.Err() != nil:
		return err
	case errors.As(err, &known):
		explained = known
	case errors.As(err, &dead) && strings.HasPrefix(dead.Reason, "out of memory"):
		explained.Cause = CauseOutOfMemory
		explained.Message = fmt.Sprintf("The template's guest ran out of memory. It had %d MiB; ask for a larger memoryMB", of.MemoryMiB)
	case !booted:
		explained.Cause = CauseBootFailed
		explained.Message = fmt.Sprintf(
			"The template did not boot with %s, or its guest agent did not answer. %sAsk for a larger memoryMB, or build the template again", of, words)
	default:
		return err
	}
	explained.Message = buildlog.Cut(explained.Message, false)
	return explained
}
