package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/request"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
)

// Resume brings a paused sandbox back under the identity it had. If it fails the sandbox
// is paused as before. Without memory the sandbox boots from its disk; memory that there
// is, is kept unchanged until the next pause.
func (m *Manager) Resume(ctx context.Context, id, requestID string, identity Identity, withoutMemory bool) (Info, error) {
	s, err := m.host.findOpen(id)
	if err != nil {
		return Info{}, err
	}
	return request.Once(ctx, &m.requests, request.Key{Call: "resume", SandboxID: id, RequestID: requestID}, func() (Info, error) {
		return m.resume(ctx, s, identity, withoutMemory)
	})
}

func (m *Manager) resume(ctx context.Context, s *sandbox, identity Identity, withoutMemory bool) (Info, error) {
	// Room is reserved only when no other operation still uses the sandbox's own.
	waiting, cancel := context.WithTimeout(ctx, busyPatience)
	err := s.awaitSettled(waiting)
	cancel()
	before := s.info()
	if err != nil {
		return Info{}, errors.Join(ctx.Err(), &ConflictError{ID: s.id, State: before.State, Wanted: "resume"})
	}
	if before.State == state.Running {
		return before, nil
	}
	if before.GuestUnresponsive && !withoutMemory {
		return Info{}, fmt.Errorf("resume sandbox %s: %w", s.id, ErrUnresponsive)
	}
	release, err := m.admission.AdmitOrReclaim(before.size(), m.warm.Reclaim)
	if err != nil {
		return Info{}, err
	}
	defer release()
	ctx, op, err := s.beginSettled(ctx, ctx, state.Resuming, "resume")
	if info := s.info(); err != nil && info.State == state.Running {
		return info, nil
	}
	if err != nil {
		return Info{}, err
	}
	return op.resume(ctx, identity, withoutMemory, before.Reason)
}

// resume does the work of a resume that has begun. pausedReason is why the sandbox was
// paused.
func (o *operation) resume(ctx context.Context, identity Identity, withoutMemory bool, pausedReason string) (Info, error) {
	o.announce()
	began := time.Now()
	o.mutex.Lock()
	if o.record.Environment == nil && len(identity.EnvVars) > 0 { // an earlier version's record
		o.record.Environment = identity.EnvVars
	}
	o.mutex.Unlock()
	paused := o.base
	if withoutMemory {
		o.base = paused.WithoutMemory()
	}
	err := o.journal()
	if err == nil {
		err = o.run(ctx, identity.LifecycleID, began)
	}
	if err != nil {
		o.base = paused
		o.settle(state.Paused, pausedReason)
		return Info{}, fmt.Errorf("resume sandbox %s: %w", o.id, err)
	}
	o.publish(state.Running, "")
	o.log().InfoContext(ctx, "sandbox resumed", "withoutMemory", withoutMemory, "took", time.Since(began))
	return o.info(), nil
}
