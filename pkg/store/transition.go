package store

import (
	"context"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// note adds what a step makes known to an exchange.
func note(ctx context.Context, then *noted, moved sandbox.Sandbox, step sandbox.Step) {
	queries := then.queries()
	if step.Line != "" {
		_ = queries.LogStep(ctx, rows.LogStepParams{ID: moved.ID, Level: step.Level, Message: step.Line})
	}
	if step.Event != "" {
		noteEvent(ctx, then, moved.ID, step.Event)
	}
	if step.Event == sandbox.EventStarted && moved.ForkedFrom != "" {
		_ = queries.RecordForkEvent(ctx, rows.RecordForkEventParams{ID: moved.ID, Type: string(sandbox.EventForked)})
	}
}

// noteCreate counts a create. Lock order: the sandbox, its host's load, its template,
// then the team's events, as in other transactions; so it comes before note.
func noteCreate(ctx context.Context, then *noted, sandboxID string) {
	_ = then.queries().CountHostCreate(ctx, sandboxID)
	_ = then.queries().CountTemplateSpawn(ctx, sandboxID)
}

func noteEvent(ctx context.Context, then *noted, sandboxID string, event sandbox.Event) {
	_ = then.queries().RecordSandboxEvent(ctx, rows.RecordSandboxEventParams{ID: sandboxID, Type: string(event)})
}

// Claim begins an operation: it moves a sandbox from the state in which it was read
// to the operation's own, in the name of a claimant. cause is for Killing only.
func (s *Sandboxes) Claim(ctx context.Context, read sandbox.Sandbox, next sandbox.State, cause sandbox.EndCause, claimant int32) (sandbox.Sandbox, error) {
	step, err := read.Transition(next, cause)
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	exchange := s.exchange()
	note(ctx, &exchange.then, read, step)
	row, err := exchange.main().ClaimSandbox(ctx, rows.ClaimSandboxParams{
		ID: read.ID, TeamID: read.TeamID, FromState: step.From, NextState: step.Next, EndCause: step.Cause, Claimant: claimant,
	})
	return one(row, err, ErrOvertaken, "begin to move sandbox %s to %s", read.ID, next)
}

// Outcome is what a sandbox becomes.
type Outcome struct {
	State sandbox.State
	// Cause is why it ends, where it does.
	Cause sandbox.EndCause
	// Reason is for people. Where it is empty, an end has the reason of its cause.
	Reason string
	// GuestUnresponsive is for a sandbox that is paused.
	GuestUnresponsive bool
}

// Move moves a sandbox as it was read to what it becomes, and releases it.
func (s *Sandboxes) Move(ctx context.Context, read sandbox.Sandbox, outcome Outcome) (sandbox.Sandbox, error) {
	step, err := read.Transition(outcome.State, outcome.Cause)
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	reason := outcome.Reason
	if reason == "" {
		reason = step.Cause.Reason()
	}
	exchange := s.exchange()
	note(ctx, &exchange.then, read, step)
	row, err := exchange.main().MoveSandbox(ctx, rows.MoveSandboxParams{
		ID: read.ID, Version: read.Version, NextState: step.Next, EndCause: step.Cause, Reason: reason,
		GuestUnresponsive: outcome.GuestUnresponsive,
	})
	return one(row, err, ErrOvertaken, "move sandbox %s to %s", read.ID, step.Next)
}

// Start ends a create or a resume: a sandbox as it was read runs for a time. Its size and
// its AutoPause are stored too. A create that is not a fork counts for its host and its
// template.
func (s *Sandboxes) Start(ctx context.Context, read sandbox.Sandbox, lifetime time.Duration) (sandbox.Sandbox, error) {
	step, err := read.Transition(sandbox.Running, "")
	if err != nil {
		return sandbox.Sandbox{}, err
	}
	exchange := s.exchange()
	if read.State == sandbox.Creating && read.ForkedFrom == "" {
		noteCreate(ctx, &exchange.then, read.ID)
	}
	note(ctx, &exchange.then, read, step)
	row, err := exchange.main().StartSandbox(ctx, rows.StartSandboxParams{
		ID: read.ID, Version: read.Version, Lifetime: lifetime, AutoPause: read.Lifecycle.AutoPause,
		VCPUCount: read.VCPUCount, MemoryMiB: read.MemoryMiB, DiskMiB: read.DiskMiB, EnvdVersion: read.EnvdVersion,
	})
	return one(row, err, ErrOvertaken, "move sandbox %s to %s", read.ID, step.Next)
}

// Release ends a claim on a sandbox whose outcome is not known; Reconcile finds it.
func (s *Sandboxes) Release(ctx context.Context, claimed sandbox.Sandbox) error {
	if err := s.queries.ReleaseClaim(ctx, rows.ReleaseClaimParams{ID: claimed.ID, Version: claimed.Version}); err != nil {
		return fmt.Errorf("release sandbox %s: %w", claimed.ID, err)
	}
	return nil
}

// ClaimExpired claims running sandboxes whose time is over, the oldest first: Pausing
// with AutoPause, else Killing.
func (s *Sandboxes) ClaimExpired(ctx context.Context, claimant int32, most int) ([]sandbox.Sandbox, error) {
	claimed, err := s.queries.ClaimExpired(ctx, rows.ClaimExpiredParams{Claimant: claimant, Batch: int32(most)})
	if err != nil {
		return nil, fmt.Errorf("claim expired sandboxes: %w", err)
	}
	return fromRows(claimed), nil
}
