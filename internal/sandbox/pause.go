package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const (
	// quietTimeout bounds how long a guest may take to fall quiet. Hostile code may never
	// let it: then the pause fails and the guest runs on.
	quietTimeout = 15 * time.Second
	// closingQuietTimeout is quietTimeout while all sandboxes are being paused.
	closingQuietTimeout = 5 * time.Second
	// pauseTimeout bounds a whole pause, writing memory included.
	pauseTimeout = 5 * time.Minute
)

// PauseRequest is how a sandbox is to be paused.
type PauseRequest struct {
	// DiskOnly drops the memory: what runs in the sandbox ends, and a resume boots it.
	DiskOnly bool
	// RequireHealthyGuest makes the pause fail, and the sandbox run on, when its guest
	// agent does not answer. With DiskOnly it always does: nothing else writes out the
	// guest's file system.
	RequireHealthyGuest bool
}

// Pause saves a sandbox and ends its VM. It returns when memory, devices and disk are
// durable. If it fails the guest runs on as before. It goes on when ctx is cancelled: half
// a pause is worse than a whole one.
func (m *Manager) Pause(ctx context.Context, id, requestID string, wanted PauseRequest) (Info, error) {
	s, err := m.host.findOpen(id)
	if err != nil {
		return Info{}, err
	}
	return request.Once(ctx, &m.requests, request.Key{Call: "pause", SandboxID: id, RequestID: requestID}, func() (Info, error) {
		return s.pause(ctx, wanted)
	})
}

func (s *sandbox) pause(ctx context.Context, wanted PauseRequest) (Info, error) {
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseTimeout)
	defer cancel()
	within, op, err := s.beginSettled(ctx, within, state.Pausing, "pause")
	if info := s.info(); err != nil && info.State == state.Paused {
		return info, nil
	}
	if err != nil {
		return Info{}, err
	}
	return op.pause(within, wanted)
}

// pause does the work of a pause that has begun.
func (o *operation) pause(ctx context.Context, wanted PauseRequest) (Info, error) {
	o.announce()
	began := time.Now()
	earlier := o.record.Snapshot
	taken, err := o.takeOwnSnapshot(ctx, wanted)
	if err != nil {
		return Info{}, o.undoPause(ctx, fmt.Errorf("pause sandbox %s: %w", o.id, err), o.guest.WakeAfterPause)
	}
	o.becomePaused(taken, earlier, "")
	o.log().InfoContext(ctx, "sandbox paused", "diskOnly", wanted.DiskOnly, "guestUnresponsive", taken.GuestUnresponsive, "took", time.Since(began))
	return o.info(), nil
}

// becomePaused frees what the sandbox's VM held. The record names a snapshot of the
// sandbox's own already, which replaces the earlier one.
func (o *operation) becomePaused(taken *snapshot.Snapshot, earlier, reason string) {
	o.base = taken
	if err := o.freeGuest(); err != nil {
		o.log().Error("free what a paused sandbox held", "error", err)
	}
	if err := o.directory.RemoveFiles(); err != nil {
		o.log().Error("remove the files of a VM that has ended", "error", err)
	}
	o.secrets.Set(egress.SecretValues{})
	o.removeReplaced(earlier)
	o.publish(state.Paused, reason)
}

// takeOwnSnapshot quiets the guest, ends its connections, stops it and takes the next
// snapshot of the sandbox's own. From the record that names it on, the sandbox is paused.
func (o *operation) takeOwnSnapshot(ctx context.Context, wanted PauseRequest) (*snapshot.Snapshot, error) {
	if err := o.journal(); err != nil {
		return nil, err
	}
	if err := o.guest.Unhold(ctx); err != nil { // it has to answer
		return nil, err
	}
	patience := quietTimeout
	if o.host.closing.Load() {
		patience = closingQuietTimeout
	}
	quiet, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unresponsive := false
	if err := o.guest.Quiet(quiet, envdclient.Preparation{}); err != nil {
		var failed *guest.Error
		unresponsive = errors.As(err, &failed)
		if !unresponsive || wanted.DiskOnly || wanted.RequireHealthyGuest {
			return nil, fmt.Errorf("quiet the guest: %w", err)
		}
		o.log().WarnContext(ctx, "a sandbox is paused whose guest agent does not answer", "error", err)
	}
	o.host.guests.HangUp(ctx, o.guest)
	if wanted.DiskOnly {
		if err := o.guest.FreezeFilesystem(quiet); err != nil {
			return nil, err
		}
	}
	if err := o.guest.Stop(ctx); err != nil {
		return nil, err
	}
	manifest := o.record.Manifest()
	manifest.DiskOnly, manifest.GuestUnresponsive = wanted.DiskOnly, unresponsive
	if !wanted.DiskOnly {
		manifest.Secret = o.guest.Secret()
	}
	return o.savePaused(ctx, o.guest.Source(), manifest, "")
}

// savePaused takes the next snapshot of the sandbox's own, and saves the record which says
// that the sandbox is paused with it. reason is empty for a pause that a client asked for.
func (o *operation) savePaused(ctx context.Context, source snapshot.Source, manifest snapshot.Manifest, reason string) (*snapshot.Snapshot, error) {
	name := record.NewSnapshotName()
	taken, err := snapshot.Take(ctx, source, manifest, o.directory.Snapshot(name))
	if err != nil {
		return nil, err
	}
	o.mutex.Lock()
	paused, running := o.record, o.meter
	o.mutex.Unlock()
	paused.State, paused.Reason, paused.Snapshot, paused.Running = state.Paused, reason, name, record.Running{}
	paused.GuestUnresponsive = manifest.GuestUnresponsive
	if running != nil { // nil for a VM that ended while no host agent ran
		paused.Usage = running.Measure()
	}
	if err := paused.Save(o.directory); err != nil {
		return nil, errors.Join(err, taken.Remove())
	}
	o.mutex.Lock()
	current := o.record.State
	o.record, o.meter = paused, nil
	o.record.State = current
	o.mutex.Unlock()
	return taken, nil
}

// undoPause lets the guest run on after a pause or a snapshot that failed. wake undoes
// what quieted its agent; one that does not answer stays pending. When the VM cannot run
// on, its disk is kept. When the guest is about to be stopped, because ctx was cancelled
// or the host is closing, its agent is not waited for.
func (o *operation) undoPause(ctx context.Context, cause error, wake guest.Wake) error {
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), guest.WakeTimeout)
	defer cancel()
	if err := o.guest.Continue(undo); err != nil {
		err = errors.Join(vmm.ErrNotRunning, cause, fmt.Errorf("let it run on: %w", err), o.guest.Kill(undo))
		o.keepDisk(context.WithoutCancel(ctx), o.guest.DeathReason())
		return err
	}
	o.guest.SetPending(wake)
	if !errors.Is(ctx.Err(), context.Canceled) && !o.host.closing.Load() {
		if err := wake(undo); err != nil {
			cause = errors.Join(cause, fmt.Errorf("let it run on: %w", err))
		}
	}
	o.settle(state.Running, "")
	return cause
}

// removeReplaced deletes a snapshot of the sandbox's own that a newer one has replaced;
// an empty name means that there was none.
func (o *operation) removeReplaced(name string) {
	if name == "" {
		return
	}
	replaced := &snapshot.Snapshot{Dir: o.directory.Snapshot(name)}
	if err := replaced.Remove(); err != nil {
		o.log().Error("remove replaced snapshot", "error", err)
	}
}
