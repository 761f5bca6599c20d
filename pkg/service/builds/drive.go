package builds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/operation"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
	"git.omukk.dev/wrenn/sandbox/pkg/wait"
)

const (
	// maxAttempts is how often a build is begun because its host's agent was restarted.
	maxAttempts = 4
	// mostTime is how long a build may take in all, waits and restarts included. A host
	// ends it after an hour.
	mostTime = 3 * time.Hour
	// flushEvery and flushEntries bound a batch of the log.
	flushEvery   = 200 * time.Millisecond
	flushEntries = 500
)

var (
	// errHandOver ends a drive that another control plane is to go on with.
	errHandOver = errors.New("another control plane goes on")
	// errWaiting is returned by a step that is to be repeated after a rest.
	errWaiting = errors.New("the build waits")
)

// driver drives one build that this control plane has claimed.
type driver struct {
	*Service
	buildID uuid.UUID
	log     *slog.Logger
	// roomSince is when the host first had no room, and filesSince when the uploads could
	// first not be copied to it; zero if they could.
	roomSince, filesSince time.Time
}

// Drive drives a build until it has ended, unless another control plane does or goes on.
func (s *Service) Drive(ctx context.Context, job Job) error {
	me := s.claimant.ID()
	claimed, err := newStore(s.pool).claim(ctx, job.BuildID, job.Turn, me)
	if err != nil || !claimed {
		return err
	}
	d := &driver{Service: s, buildID: job.BuildID, log: s.log.With("build", job.BuildID)}
	err = d.run(ctx)
	if err == nil {
		return nil
	}
	ctx, cancel := operation.Detach(ctx)
	defer cancel()
	if errors.Is(err, errHandOver) {
		return d.handOver(ctx, me)
	}
	return errors.Join(err, newStore(s.pool).release(ctx, job.BuildID, me))
}

// handOver enqueues the next turn, for another control plane.
func (d *driver) handOver(ctx context.Context, me int32) error {
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		next, err := newStore(tx).handOver(ctx, d.buildID, me)
		if errors.Is(err, errNoRow) {
			return nil // taken over, or ended
		}
		if err != nil {
			return err
		}
		return d.enqueue(ctx, tx, Job{BuildID: d.buildID, Turn: next})
	})
}

// run does step after step until the build has ended.
func (d *driver) run(ctx context.Context) error {
	for {
		if d.isStopping() || ctx.Err() != nil {
			return errHandOver
		}
		of, host, err := newStore(d.pool).get(ctx, d.buildID)
		switch {
		case errors.Is(err, errNoRow), err == nil && of.Status != templates.StatusBuilding:
			return nil
		case err == nil:
			err = d.step(ctx, of, host)
		}
		if errors.Is(err, errHandOver) {
			return err
		}
		if err != nil && !errors.Is(err, errWaiting) && ctx.Err() == nil {
			d.log.WarnContext(ctx, "drive a build, trying again", "error", err)
		}
		if err != nil || host.state != lifecycle.HostReady {
			d.rest(ctx)
		}
	}
}

// rest waits a while before another step.
func (d *driver) rest(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	wait.For(ctx, d.patience.retry)
}

// step brings a build nearer to its end, by what is known of it and its host.
func (d *driver) step(ctx context.Context, of Build, host hostState) error {
	switch {
	case of.CancelWanted && of.Attempt == 0:
		return d.fail(ctx, cancelled())
	case time.Since(of.startedAt) > mostTime:
		return errors.Join(d.end(ctx, of), d.fail(ctx, build.Failure{
			Cause: build.CauseTimedOut, Message: fmt.Sprintf("the build took longer than %d hours, with the time that it waited", int(mostTime.Hours())),
		}))
	case d.isLost(host):
		return d.relocate(ctx, of, host, uuid.Nil, "the host of the build is "+string(host.state))
	case host.state != lifecycle.HostReady:
		return nil // it is away, and may come back
	}
	if of.CancelWanted {
		if err := d.hosts(of.HostID).CancelBuild(ctx, d.buildID.String()); err != nil {
			return err
		}
	}
	result, err := d.watch(ctx, of)
	switch {
	case result != nil:
		return d.store(ctx, *result)
	case fault.Is(err, fault.NotFound) && of.CancelWanted:
		return d.fail(ctx, cancelled())
	case fault.Is(err, fault.NotFound):
		return d.begin(ctx, of)
	case fault.Is(err, fault.Unsupported):
		return d.fail(ctx, unsupported(err))
	}
	return err
}

func cancelled() build.Failure {
	return build.Failure{Cause: build.CauseCancelled, Message: "the build was cancelled"}
}

func unsupported(err error) build.Failure {
	return build.Failure{Cause: build.CauseUnsupported, Step: build.StepBase, Message: messageOf(err)}
}

// messageOf is what a fault says to clients.
func messageOf(err error) string {
	var shown *fault.Error
	if errors.As(err, &shown) && shown.Code != fault.Internal || errors.As(err, &shown) && shown.Reason != "" {
		return shown.Message
	}
	return "internal error of the build's host"
}

// isLost reports whether a build must not wait for its host.
func (d *driver) isLost(host hostState) bool {
	switch host.state {
	case lifecycle.HostDraining, lifecycle.HostRetired:
		return true
	case lifecycle.HostUnreachable:
		return time.Since(host.since) > d.patience.hostAway
	default:
		return false
	}
}

// end ends a build on its host. Sweep removes what the host may have of it, and ends it where
// the host cannot be reached now.
func (d *driver) end(ctx context.Context, of Build) error {
	if of.Attempt == 0 {
		return nil
	}
	if err := newStore(d.pool).addStray(ctx, placedBuild{of.ID, of.HostID}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, operation.Timeout)
	defer cancel()
	err := d.hosts(of.HostID).CancelBuild(ctx, d.buildID.String())
	if fault.Is(err, fault.Unavailable) {
		return nil
	}
	return err
}

// watch stores the log of a build as its host tells it, and returns the result. It returns
// neither result nor error when the build is to be looked at again.
func (d *driver) watch(ctx context.Context, of Build) (result *build.Result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	updates, ended := make(chan build.Update), make(chan error, 1)
	watching.Go(func() {
		ended <- d.hosts(of.HostID).WatchBuild(ctx, d.buildID.String(), of.logSequence, func(update build.Update) error {
			select {
			case updates <- update:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	batch := &batch{buildID: d.buildID, attempt: of.Attempt}
	flush, look := time.NewTicker(flushEvery), time.NewTicker(d.patience.look)
	defer flush.Stop()
	defer look.Stop()
	for {
		select {
		case update := <-updates:
			if update.Result != nil {
				result = update.Result
			} else if batch.add(*update.Entry) < flushEntries {
				continue
			}
			err = d.flush(ctx, batch)
		case <-flush.C:
			err = d.flush(ctx, batch)
		case <-look.C:
			again, err := d.mustLookAgain(ctx, of)
			if err != nil || again {
				return nil, errors.Join(err, d.flush(ctx, batch))
			}
		case <-d.stopping:
			return nil, errors.Join(errHandOver, d.flush(ctx, batch))
		case err = <-ended:
			if err == nil {
				err = errWaiting // the agent is about to stop
			}
			return result, errors.Join(err, d.flush(ctx, batch))
		}
		if err != nil || result != nil {
			return result, err
		}
	}
}

// mustLookAgain reports whether a build is to be cancelled, has ended, or must leave its
// host since it was read.
func (d *driver) mustLookAgain(ctx context.Context, of Build) (bool, error) {
	now, host, err := newStore(d.pool).get(ctx, d.buildID)
	if errors.Is(err, errNoRow) {
		return true, nil
	}
	return err == nil && (now.CancelWanted != of.CancelWanted || now.Status != of.Status || d.isLost(host)), err
}

// store stores the result.
func (d *driver) store(ctx context.Context, result build.Result) error {
	if result.Failure != nil {
		return d.failWith(ctx, *result.Failure, result.ImageDigest)
	}
	err := d.change(ctx, d.buildID, func(tx *changes, of Build) error {
		if of.Status != templates.StatusBuilding {
			return nil
		}
		return tx.finish(ctx, of, *result.Ready, result.ImageDigest)
	})
	if err == nil {
		d.log.InfoContext(ctx, "build is ready")
	}
	return err
}

func (d *driver) fail(ctx context.Context, failure build.Failure) error {
	return d.failWith(ctx, failure, "")
}

func (d *driver) failWith(ctx context.Context, failure build.Failure, imageDigest string) error {
	err := d.change(ctx, d.buildID, func(tx *changes, of Build) error {
		if of.Status != templates.StatusBuilding {
			return nil
		}
		return tx.fail(ctx, of, failure, imageDigest)
	})
	if err == nil {
		d.log.InfoContext(ctx, "build has failed", "cause", failure.Cause, "step", failure.Step)
	}
	return err
}
