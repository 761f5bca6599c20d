package cpextension

import (
	"context"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// A guard is asked before an operation that a team asks for, before anything is stored
// or sent to a host. All guards have the same contract.
//
// A guard returns nil to allow, or a *VetoError (Forbid, AskForPayment, AskToWait), which
// the client is told. In all other cases the operation is refused with 503: another
// error, a panic, no answer within GuardTimeout, too many unanswered questions, or an
// extension that does not run. A guard that is to allow what it cannot decide returns
// nil.
//
// To allow is not to reserve: the operation can still fail, and two can be allowed at
// the same time. A guard that must not allow both counts in a transaction of its own, or
// by events such as events.SandboxStarted.
//
// Guards are not asked about what Wrenn does by itself, such as the pause or kill of a
// sandbox whose time is over, or about operations of platform admins. The values that
// they get are copies.

// CreateGuard is asked before sandboxes are created, also as forks: for quotas other than
// Wrenn's limits, or for billing.
type CreateGuard interface {
	BeforeCreate(ctx context.Context, wanted sandboxes.Creation) error
}

// ForkGuard is asked before a sandbox is forked, before CreateGuard.
type ForkGuard interface {
	BeforeFork(ctx context.Context, wanted sandboxes.Forking) error
}

// ResumeGuard is asked before a paused sandbox is resumed, by its team or by traffic. The
// client of the traffic is not told the reason of a veto.
type ResumeGuard interface {
	BeforeResume(ctx context.Context, wanted sandboxes.Resumption) error
}

// PauseGuard is asked before a running sandbox is paused.
type PauseGuard interface {
	BeforePause(ctx context.Context, wanted sandboxes.Pausing) error
}

// KillGuard is asked before a sandbox is killed, also as a part of its team's deletion.
type KillGuard interface {
	BeforeKill(ctx context.Context, wanted sandboxes.Killing) error
}

// SnapshotGuard is asked before a snapshot of a running sandbox is taken.
type SnapshotGuard interface {
	BeforeSnapshot(ctx context.Context, wanted sandboxes.Snapshotting) error
}

// NetworkGuard is asked before the network policy of a running sandbox is updated.
type NetworkGuard interface {
	BeforeNetworkUpdate(ctx context.Context, wanted sandboxes.NetworkUpdate) error
}

// SecretGuard is asked before a sandbox is created with, or gets, a network policy that
// uses secrets.
type SecretGuard interface {
	BeforeSecretUse(ctx context.Context, wanted sandboxes.SecretUse) error
}

// BuildGuard is asked before a template is built. A snapshot is not a build.
type BuildGuard interface {
	BeforeBuild(ctx context.Context, wanted templates.Building) error
}

// Reason is why a guard refuses.
type Reason string

// The reasons, with the status that the client gets.
const (
	Forbidden       Reason = "forbidden"        // 403
	PaymentRequired Reason = "payment_required" // 402
	TooMany         Reason = "too_many"         // 429
)

// VetoError is a guard's refusal.
type VetoError struct {
	Reason Reason
	// Message is shown to the client.
	Message string
	// RetryAfter is how long the client should wait; zero if that is not known.
	RetryAfter time.Duration
}

// Forbid refuses what the team may not do.
func Forbid(format string, args ...any) *VetoError {
	return &VetoError{Reason: Forbidden, Message: fmt.Sprintf(format, args...)}
}

// AskForPayment refuses what the team has not paid for.
func AskForPayment(format string, args ...any) *VetoError {
	return &VetoError{Reason: PaymentRequired, Message: fmt.Sprintf(format, args...)}
}

// AskToWait refuses what is too much for now. wait is zero if it is not known how long
// that lasts.
func AskToWait(wait time.Duration, format string, args ...any) *VetoError {
	return &VetoError{Reason: TooMany, Message: fmt.Sprintf(format, args...), RetryAfter: wait}
}

// Error is the message.
func (v *VetoError) Error() string { return v.Message }
