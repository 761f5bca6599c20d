package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Cause is why a build failed.
type Cause string

// Causes.
const (
	CauseImageNotFound       Cause = "image not found"
	CauseImageUnauthorized   Cause = "image unauthorized"
	CauseWrongPlatform       Cause = "wrong platform"
	CauseRegistryUnreachable Cause = "registry unreachable"
	CauseImageInvalid        Cause = "image invalid"

	CauseNoSpace       Cause = "no space"
	CauseOutOfMemory   Cause = "out of memory"
	CauseTimedOut      Cause = "timed out"
	CauseHashMismatch  Cause = "hash mismatch"
	CauseFileMissing   Cause = "file missing"
	CauseCommandFailed Cause = "command failed"
	CauseNotReady      Cause = "not ready"
	CauseCancelled     Cause = "cancelled"
	CauseBaseNotFound  Cause = "base not found"
	CauseInvalidStep   Cause = "invalid step"
	CauseBootFailed    Cause = "boot failed"
	CauseInternal      Cause = "internal"
)

// Failure is why a build failed, for the template's owner. It names nothing of the host.
type Failure struct { //nolint:errname // the word of the domain, which clients see
	Cause Cause
	// Step is "base", "finalize" or a step's name.
	Step     string
	Line     int
	Command  string
	ExitCode int
	// Message says what happened and what to do.
	Message string
	// LastLines are the end of the step's output.
	LastLines []string

	cause error // for the host's own log
}

// Error is for the host's own log.
func (f *Failure) Error() string {
	if f.cause != nil {
		return fmt.Sprintf("%s: %v", f.Message, f.cause)
	}
	return f.Message
}

// Unwrap returns what went wrong on the host.
func (f *Failure) Unwrap() error { return f.cause }

// stepError is an error in a step, before it is explained.
type stepError struct {
	step string
	line int
	err  error
}

func (e *stepError) Error() string { return fmt.Sprintf("step %s: %v", e.step, e.err) }
func (e *stepError) Unwrap() error { return e.err }

// explain makes any error a Failure.
func (a *attempt) explain(ctx context.Context, err error) *Failure {
	step, line := stepFinalize, 0
	var in *stepError
	if errors.As(err, &in) {
		step, line = in.step, in.line
	}
	var known *Failure
	switch {
	case a.cancelled.Load():
		return &Failure{Cause: CauseCancelled, Step: step, Line: line, Message: "The build was cancelled", cause: err}
	case errors.Is(context.Cause(ctx), errHostFull):
		known = &Failure{Cause: CauseNoSpace, Message: "The host that builds has nearly no room left on its disk. Build again later, or ask its operator", cause: err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		known = &Failure{Cause: CauseTimedOut, Message: fmt.Sprintf("The build took longer than %s and was ended. "+
			"Steps that are done are cached: build again to go on from there, or split what takes so long", describe(buildTimeout)), cause: err}
	case errors.As(err, &known):
	default:
		known = a.explainMachine(err)
	}
	known.Step, known.Line = step, line
	known.Message = buildlog.Cut(known.Message, false)
	return known
}

// explainMachine explains what is no command's failure.
func (a *attempt) explainMachine(err error) *Failure {
	var dead *machine.DeadError
	var guest *machine.Failure
	switch {
	case errors.As(err, &dead) && isOutOfMemory(dead):
		return a.outOfMemory("The build's VM", err)
	case errors.Is(err, vmm.ErrNotRunning):
		return &Failure{Cause: CauseInternal, Message: "The build's VM ended unexpectedly. Build again: steps that are done are cached", cause: err}
	case errors.As(err, &guest):
		return a.explainGuest(guest, err)
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Cause: CauseTimedOut, Message: "The guest did not answer in time", cause: err}
	default:
		return &Failure{Cause: CauseInternal, Message: "The host could not go on with the build; its operator finds the reason in the host agent's log", cause: err}
	}
}

func isOutOfMemory(dead *machine.DeadError) bool {
	return strings.HasPrefix(dead.Reason, "out of memory")
}

// explainGuest explains why the guest agent could not do its work.
func (a *attempt) explainGuest(guest *machine.Failure, err error) *Failure {
	message := buildlog.Clean(guest.Message)
	switch guest.Code {
	case machine.CodeNoSpace:
		return a.noSpace("", err)
	case machine.CodeMissing:
		return &Failure{Cause: CauseFileMissing, Message: message, cause: err}
	case machine.CodeMismatch:
		return &Failure{Cause: CauseHashMismatch, Message: message, cause: err}
	default:
		return &Failure{Cause: CauseInvalidStep, Message: message, cause: err}
	}
}

func (a *attempt) outOfMemory(what string, err error) *Failure {
	return &Failure{Cause: CauseOutOfMemory, cause: err, Message: fmt.Sprintf(
		"%s ran out of memory: the build has %d MiB. Build with more (memoryMB in the SDK, --memory-mb on the command line) or have it use less at a time",
		what, a.request.MemoryMiB)}
}

func (a *attempt) noSpace(what string, err error) *Failure {
	if what != "" {
		what += ": "
	}
	return &Failure{Cause: CauseNoSpace, cause: err, Message: fmt.Sprintf(
		"%sthe disk of %d MiB is full. Build with a larger one, or remove what is not needed in the step that makes it", what, a.request.DiskMiB)}
}
