package hostagent

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/build"
	"git.omukk.dev/wrenn/sandbox/internal/build/archives"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/catalog"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/size"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/volume"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
)

// refuse turns an error into the answer to a request, with its reason.
func refuse(err error) error {
	refusal := refusalOf(err)
	return host.Refuse(refusal.Reason, refusal.Explanation, err)
}

// sentinels are errors with reasons of their own. The first that matches counts.
var sentinels = []struct {
	err    error
	reason pb.Reason
}{
	{sandbox.ErrNotFound, pb.Reason_REASON_SANDBOX_NOT_FOUND},
	{catalog.ErrNotFound, pb.Reason_REASON_BUILD_NOT_FOUND},
	{build.ErrNotFound, pb.Reason_REASON_BUILD_NOT_FOUND},
	{volume.ErrNotFound, pb.Reason_REASON_VOLUME_NOT_FOUND},
	{sandbox.ErrExists, pb.Reason_REASON_ALREADY_EXISTS},
	{sandbox.ErrInvalid, pb.Reason_REASON_INVALID_REQUEST},
	{volume.ErrInvalid, pb.Reason_REASON_INVALID_REQUEST},
	{build.ErrBusy, pb.Reason_REASON_NO_ROOM},
	{build.ErrClosed, pb.Reason_REASON_SHUTTING_DOWN},
	{admission.ErrNoRoom, pb.Reason_REASON_NO_ROOM},
	{unix.ENOSPC, pb.Reason_REASON_NO_ROOM},
	{sandbox.ErrUnresponsive, pb.Reason_REASON_GUEST_UNRESPONSIVE_AT_PAUSE},
	{sandbox.ErrClosed, pb.Reason_REASON_SHUTTING_DOWN},
	{size.ErrClosed, pb.Reason_REASON_SHUTTING_DOWN},
}

func refusalOf(err error) *pb.Refusal {
	for _, known := range sentinels {
		if errors.Is(err, known.err) {
			return &pb.Refusal{Reason: known.reason}
		}
	}
	// What these say is about the team's own steps and uploads.
	for _, invalid := range []error{plan.ErrInvalid, archives.ErrInvalid, archives.ErrTooLarge, guest.ErrNoVolumes} {
		if errors.Is(err, invalid) {
			return &pb.Refusal{Reason: pb.Reason_REASON_INVALID_REQUEST, Explanation: err.Error()}
		}
	}
	var network *egress.SpecError
	var conflict *sandbox.ConflictError
	var incompatible *vmm.IncompatibleError
	var isolation *isolationError
	var broken *snapshot.BrokenError
	var failed *guest.Error
	var impossible *size.Error
	var start *build.Failure
	switch {
	case errors.As(err, &impossible):
		return &pb.Refusal{Reason: pb.Reason_REASON_SIZE_REFUSED, Explanation: impossible.Error()}
	case errors.As(err, &start):
		return &pb.Refusal{Reason: pb.Reason_REASON_SIZE_REFUSED, Explanation: explainStart(start)}
	case errors.As(err, &network):
		return &pb.Refusal{Reason: pb.Reason_REASON_NETWORK_REFUSED, Explanation: network.Error()}
	case errors.As(err, &conflict):
		return &pb.Refusal{Reason: conflictReason(conflict)}
	case errors.As(err, &incompatible):
		return &pb.Refusal{Reason: pb.Reason_REASON_INCOMPATIBLE_SNAPSHOT, Explanation: incompatible.Error()}
	case errors.As(err, &isolation):
		return &pb.Refusal{Reason: pb.Reason_REASON_WRONG_ISOLATION, Explanation: isolation.Error()}
	case errors.As(err, &broken):
		return &pb.Refusal{Reason: pb.Reason_REASON_BROKEN_SNAPSHOT, Explanation: "its " + broken.File + " is not whole"}
	case errors.Is(err, vmm.ErrNotRunning):
		return &pb.Refusal{Reason: pb.Reason_REASON_VM_ENDED}
	case errors.As(err, &failed):
		return &pb.Refusal{Reason: pb.Reason_REASON_GUEST_UNRESPONSIVE}
	case errors.Is(err, context.DeadlineExceeded):
		return &pb.Refusal{Reason: pb.Reason_REASON_TIMED_OUT}
	case errors.Is(err, context.Canceled):
		return &pb.Refusal{Reason: pb.Reason_REASON_KILLED}
	default:
		return &pb.Refusal{}
	}
}

// explainStart says why a template with another size did not start, with the end of what
// its start command printed.
func explainStart(failure *build.Failure) string {
	text := "the template did not start with this size: " + failure.Message
	if len(failure.LastLines) > 0 {
		text += ". The last lines of its output:\n" + strings.Join(failure.LastLines, "\n")
	}
	return text
}

func conflictReason(conflict *sandbox.ConflictError) pb.Reason {
	switch {
	case conflict.State == state.Failed:
		return pb.Reason_REASON_SANDBOX_FAILED
	case conflict.State == state.Killing, conflict.State == state.Gone:
		return pb.Reason_REASON_KILLED
	case conflict.Busy():
		return pb.Reason_REASON_BUSY
	default:
		return pb.Reason_REASON_WRONG_STATE
	}
}
