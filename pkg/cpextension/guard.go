package cpextension

import (
	"context"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// CreateGuard is an extension that is asked before sandboxes are created or
// forked: for quotas of another kind than Wrenn's own, or for billing.
//
// A guard answers nil to allow, or a *VetoError (Forbid, AskForPayment, AskToWait),
// which the client is told. Everything else refuses as well, with 503: another
// error, a panic, more than GuardTimeout, too many questions that are still
// unanswered, or an extension that did not start. A guard that would rather allow
// what it cannot decide answers nil itself.
//
// To allow is not to reserve: the creation can still fail, and two can be allowed
// at once. Who must not allow both counts in a transaction of its own, or by
// events such as events.SandboxStarted.
type CreateGuard interface {
	BeforeCreate(ctx context.Context, wanted sandboxes.Creation) error
}

// ResumeGuard is an extension that is asked, as a CreateGuard is, before a paused
// sandbox runs again, be it for its team or for traffic that comes in, whose sender
// is told no reason.
type ResumeGuard interface {
	BeforeResume(ctx context.Context, wanted sandboxes.Resumption) error
}

// BuildGuard is an extension that is asked, as a CreateGuard is, before a
// template is built. Snapshots of sandboxes are no builds.
type BuildGuard interface {
	BeforeBuild(ctx context.Context, wanted templates.Building) error
}

// Reason says why a guard refuses.
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
	// Message is for the client.
	Message string
	// RetryAfter is when to try again, zero where nobody knows.
	RetryAfter time.Duration
}

// Forbid refuses what the team may not have.
func Forbid(format string, args ...any) *VetoError {
	return &VetoError{Reason: Forbidden, Message: fmt.Sprintf(format, args...)}
}

// AskForPayment refuses what the team has not paid for.
func AskForPayment(format string, args ...any) *VetoError {
	return &VetoError{Reason: PaymentRequired, Message: fmt.Sprintf(format, args...)}
}

// AskToWait refuses what is too much for now. wait is zero where nobody knows how
// long it takes.
func AskToWait(wait time.Duration, format string, args ...any) *VetoError {
	return &VetoError{Reason: TooMany, Message: fmt.Sprintf(format, args...), RetryAfter: wait}
}

// Error is the message.
func (v *VetoError) Error() string { return v.Message }
