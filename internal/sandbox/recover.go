package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/catalog"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// recovery is what a new host agent does with what the last one left: running sandboxes
// are adopted, operations that were under way are undone, paused sandboxes are kept, and
// the rest is removed. What fails with one sandbox affects no other.
type recovery struct {
	host    *host
	driver  vmm.Driver
	network Network
	cgroups *cgroup.Root
	catalog *catalog.Catalog
	log     *slog.Logger
}

func (r recovery) run(ctx context.Context) error {
	found, err := r.readRecords()
	if err != nil {
		return err
	}
	if err := r.endOrphans(ctx, found); err != nil {
		return err
	}
	for name, kept := range found {
		// The operation has not begun: it is the right to change a sandbox that no other
		// goroutine knows yet.
		op := &operation{sandbox: &sandbox{id: name, directory: r.host.sandboxDirectory(name), host: r.host, record: kept.Record, settled: closedChannel()}}
		err := op.recover(ctx, kept.err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			op.keepFailed(err)
		}
	}
	for _, step := range []struct {
		what string
		err  error
	}{
		{"remove clones that were held ready", os.RemoveAll(warmDirectory(r.host.directory))},
		{"end what runs in control groups of no sandbox", r.removeOrphanGroups(ctx)},
		{"remove networks of no sandbox", r.network.RemoveLeftovers()},
		{"find snapshots", r.catalog.Open()},
	} {
		if step.err != nil {
			r.log.ErrorContext(ctx, "tidy up after the last host agent", "step", step.what, "error", step.err)
		}
	}
	r.report()
	return nil
}

// keptRecord is what was read of a sandbox, or why it could not be.
type keptRecord struct {
	record.Record
	err error
}

func (r recovery) readRecords() (map[string]keptRecord, error) {
	entries, err := os.ReadDir(r.host.directory)
	if err != nil {
		return nil, fmt.Errorf("read sandbox directory: %w", err)
	}
	found := make(map[string]keptRecord)
	for _, entry := range entries {
		if entry.Name() == filepath.Base(warmDirectory(r.host.directory)) {
			continue
		}
		if !id.IsSandbox(entry.Name()) {
			r.log.Warn("foreign entry in the sandbox directory is left alone", "name", entry.Name())
			continue
		}
		kept, err := record.Load(r.host.sandboxDirectory(entry.Name()))
		found[entry.Name()] = keptRecord{kept, err}
	}
	return found, nil
}

// endOrphans kills every VMM that no record names: those of sandboxes that were just being
// created or resumed, and of those already paused or killed.
func (r recovery) endOrphans(ctx context.Context, found map[string]keptRecord) error {
	running, err := r.driver.Processes(r.host.directory)
	if err != nil {
		return err
	}
	var claimed []vmm.Process
	for _, kept := range found {
		if kept.err == nil && kept.State.HasMachine() {
			claimed = append(claimed, kept.Process)
		}
	}
	for _, process := range running {
		if slices.Contains(claimed, process) {
			continue
		}
		r.log.WarnContext(ctx, "ending a VM that belongs to no running sandbox", "pid", process.ID)
		if err := endOrphan(ctx, process); err != nil {
			r.log.ErrorContext(ctx, "end a VM that belongs to no running sandbox", "pid", process.ID, "error", err)
		}
	}
	return ctx.Err()
}

func endOrphan(ctx context.Context, process vmm.Process) error {
	ctx, cancel := context.WithTimeout(ctx, guest.StopTimeout)
	defer cancel()
	return process.End(ctx)
}

// removeOrphanGroups ends the processes in control groups that no record names.
func (r recovery) removeOrphanGroups(ctx context.Context) error {
	var claimed []string
	for _, s := range r.host.all() {
		s.mutex.Lock()
		if s.record.Cgroup != "" {
			claimed = append(claimed, s.record.Cgroup)
		}
		s.mutex.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, guest.StopTimeout)
	defer cancel()
	return r.cgroups.RemoveAllBut(ctx, claimed)
}

func (r recovery) report() {
	counts := make(map[state.State]int)
	for _, info := range r.host.list() {
		counts[info.State]++
	}
	if len(counts) > 0 {
		r.log.Info("sandboxes found", "running", counts[state.Running]+counts[state.Pausing], "paused", counts[state.Paused], "failed", counts[state.Failed])
	}
}

// recover makes the sandbox known as its record says, or removes it.
func (o *operation) recover(ctx context.Context, readErr error) error {
	switch current := o.record.State; {
	case errors.Is(readErr, os.ErrNotExist):
		return o.removeUnrecorded()
	case readErr != nil:
		return readErr
	case current.HasMachine():
		return o.adopt(ctx, current != state.Running)
	case current == state.Paused, current == state.Resuming:
		o.keepPaused()
		return nil
	case current == state.Creating, current == state.Killing:
		o.log().InfoContext(ctx, "clearing away a sandbox that was never finished, or already being killed", "state", current)
		return os.RemoveAll(string(o.directory))
	default:
		return fmt.Errorf("its record says that it is %q, which this host agent does not know", current)
	}
}

// removeUnrecorded removes a sandbox whose creation was never acknowledged. One that has
// a snapshot of its own was.
func (o *operation) removeUnrecorded() error {
	acknowledged, err := o.directory.HasSnapshots()
	if err != nil {
		return err
	}
	if acknowledged {
		return errors.New("its record is missing")
	}
	return os.RemoveAll(string(o.directory))
}

// keepPaused keeps a sandbox as its last pause left it. A resume that was under way is
// undone by that.
func (o *operation) keepPaused() {
	changed := o.record.State != state.Paused || o.record.Running != record.Running{}
	o.record.State, o.record.Running = state.Paused, record.Running{}
	var err error
	if o.base, err = snapshot.OpenOfSandbox(o.directory.Snapshot(o.record.Snapshot)); err != nil {
		o.keepFailed(err)
		return
	}
	err = o.directory.KeepPaused(o.record.Snapshot)
	if changed {
		err = errors.Join(err, o.journal())
	}
	if err != nil { // the next agent does it
		o.log().Error("clear away what a paused sandbox does not need", "error", err)
	}
	o.host.keep(o.sandbox)
}

// keepFailed keeps a sandbox that cannot be used, with the reason, until its owner kills
// it or the next host agent can use it.
func (o *operation) keepFailed(reason error) {
	o.record.State, o.record.Reason = state.Failed, o.host.withoutPaths(reason.Error())
	o.log().Error("sandbox cannot be used", "error", reason)
	o.host.keep(o.sandbox)
}

// keepFound is keepDisk for a VM that ended while no host agent ran. It may never have
// run, or have left no disk: then the sandbox is as it was before.
func (o *operation) keepFound(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, guest.StopTimeout)
	defer cancel()
	if err := o.record.Process.End(ctx); err != nil {
		return err
	}
	o.record.Running = record.Running{}
	earlier := o.record.Snapshot
	_, err := o.snapshotDisk(ctx, cause.Error())
	switch {
	case errors.Is(err, os.ErrNotExist) && earlier == "":
		o.log().WarnContext(ctx, "sandbox did not live through the host agent's absence and is gone", "error", cause)
		return os.RemoveAll(string(o.directory))
	case err != nil && !errors.Is(err, os.ErrNotExist):
		o.unkept = cause.Error()
		o.keepFailed(fmt.Errorf("%w; its disk could not be put away yet: %w", cause, err))
		return nil
	}
	o.log().WarnContext(ctx, "a sandbox's VM ended while no host agent was there; its disk is kept", "error", cause)
	o.keepPaused()
	return nil
}

func closedChannel() chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}
