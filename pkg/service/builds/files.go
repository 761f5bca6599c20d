package builds

import (
	"context"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

// bringFiles copies the uploads of a build that was moved to its host. It returns true where
// the build has failed instead.
func (d *driver) bringFiles(ctx context.Context, of Build) (failed bool, err error) {
	if len(of.Definition.Files()) == 0 || of.FilesHostID != nil && *of.FilesHostID == of.HostID {
		return false, nil
	}
	ctx, stop := d.whileWanted(ctx, of)
	defer stop()
	for _, hash := range of.Definition.Files() {
		switch err := d.copyFiles(ctx, of, hash); {
		case err == nil:
		case fault.Is(err, fault.NotFound):
			return true, d.fail(ctx, build.Failure{
				Cause: build.CauseFileMissing, Step: build.StepBase,
				Message: "the uploaded files are no longer on the host that they were uploaded to; start another build, which uploads them again",
			})
		case fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Unsupported):
			return d.awaitFiles(ctx, err)
		default:
			return false, err
		}
	}
	d.filesSince = time.Time{}
	return false, newStore(d.pool).setFilesHost(ctx, of.ID, of.HostID)
}

// copyFiles copies one upload to the host of a build, unless that has it.
func (d *driver) copyFiles(ctx context.Context, of Build, hash string) error {
	to, team := d.hosts(of.HostID), of.TeamID.String()
	if present, err := to.HasBuildFiles(ctx, team, hash); present || err != nil {
		return err
	}
	if of.FilesHostID == nil {
		return fault.New(fault.NotFound, "the host that had the files is no more")
	}
	content, size, err := d.hosts(*of.FilesHostID).ReadBuildFiles(ctx, team, hash)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := to.PutBuildFiles(ctx, team, hash, size, content); err != nil {
		return fmt.Errorf("copy files of build %s to its host: %w", of.ID, err)
	}
	d.log.InfoContext(ctx, "uploaded files were copied to the build's host", "from", *of.FilesHostID, "to", of.HostID, "bytes", size)
	return nil
}

// awaitFiles has the uploads copied again later, for a while.
func (d *driver) awaitFiles(ctx context.Context, cause error) (failed bool, err error) {
	if d.filesSince.IsZero() {
		d.filesSince = time.Now()
	}
	if time.Since(d.filesSince) > d.patience.hostAway {
		return true, d.fail(ctx, build.Failure{
			Cause: build.CauseHostGone, Step: build.StepBase,
			Message: "the build has another host than the one that the files were uploaded to, and they cannot be copied: " + messageOf(cause) + "; start another build",
		})
	}
	return false, errWaiting
}

// whileWanted returns a context that ends when the build is to be cancelled, must leave its
// host, or goes to another control plane.
func (d *driver) whileWanted(ctx context.Context, of Build) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for wait.For(ctx, d.patience.look) {
			if again, err := d.mustLookAgain(ctx, of); again || err != nil || d.isStopping() {
				return
			}
		}
	}()
	return ctx, func() { cancel(); <-watched }
}
