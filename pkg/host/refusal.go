package host

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// meaning maps a host's reason to an error on the wire and to a fault.
type meaning struct {
	wire    connect.Code
	code    fault.Code
	reason  fault.Reason
	message string
}

// meanings has every reason. Requests that the control plane should not have sent are
// internal faults.
var meanings = map[pb.Reason]meaning{
	pb.Reason_REASON_SANDBOX_NOT_FOUND: {
		connect.CodeNotFound, fault.NotFound, "", "the host does not have the sandbox",
	},
	pb.Reason_REASON_BUILD_NOT_FOUND: {
		connect.CodeNotFound, fault.NotFound, "", "the host does not have the template",
	},
	pb.Reason_REASON_VOLUME_NOT_FOUND: {
		connect.CodeNotFound, fault.NotFound, "", "the host does not have the volume",
	},
	pb.Reason_REASON_ALREADY_EXISTS: {
		connect.CodeAlreadyExists, fault.Internal, "", "internal error",
	},
	pb.Reason_REASON_INVALID_REQUEST: {
		connect.CodeInvalidArgument, fault.Internal, fault.CreateRefused, "internal error",
	},
	pb.Reason_REASON_NO_ROOM: {
		connect.CodeResourceExhausted, fault.Exhausted, fault.NoCapacity, "the host has no room for another sandbox",
	},
	pb.Reason_REASON_SHUTTING_DOWN: {
		connect.CodeUnavailable, fault.Unavailable, "", "the host cannot be reached at the moment",
	},
	pb.Reason_REASON_WRONG_STATE: {
		connect.CodeFailedPrecondition, fault.Conflict, fault.WrongState, "the sandbox is not in the right state on its host",
	},
	pb.Reason_REASON_BUSY: {
		connect.CodeFailedPrecondition, fault.Conflict, fault.Busy, "another operation on the sandbox has not ended yet; try again",
	},
	pb.Reason_REASON_SANDBOX_FAILED: {
		connect.CodeFailedPrecondition, fault.Conflict, fault.Broken, "the sandbox has failed and cannot be used",
	},
	pb.Reason_REASON_INCOMPATIBLE_SNAPSHOT: {
		connect.CodeFailedPrecondition, fault.Conflict, fault.NoCompatibleHost, "the sandbox's host cannot read what it was paused to",
	},
	pb.Reason_REASON_BROKEN_SNAPSHOT: {
		connect.CodeFailedPrecondition, fault.Conflict, fault.Broken, "what the sandbox is started from cannot be read",
	},
	pb.Reason_REASON_GUEST_UNRESPONSIVE: {
		connect.CodeUnknown, fault.Unavailable, fault.GuestUnresponsive, "the sandbox's guest agent does not answer",
	},
	pb.Reason_REASON_GUEST_UNRESPONSIVE_AT_PAUSE: {
		connect.CodeFailedPrecondition, fault.Conflict, fault.GuestUnresponsiveAtPause,
		"the sandbox's guest agent did not answer when the sandbox was paused; resume it with memory: false",
	},
	pb.Reason_REASON_VM_ENDED: {
		connect.CodeAborted, fault.Unavailable, fault.MachineEnded, "the sandbox's machine ended meanwhile; its disk is kept",
	},
	pb.Reason_REASON_KILLED: {
		connect.CodeCanceled, fault.Conflict, fault.Killed, "the sandbox was killed meanwhile",
	},
	pb.Reason_REASON_NETWORK_REFUSED: {
		connect.CodeInvalidArgument, fault.Invalid, "", "the host does not give a sandbox that network",
	},
	pb.Reason_REASON_WRONG_ISOLATION: {
		connect.CodeFailedPrecondition, fault.Conflict, fault.NoCompatibleHost, "the host does not give the isolation that is demanded",
	},
	pb.Reason_REASON_SIZE_REFUSED: {
		connect.CodeInvalidArgument, fault.Invalid, fault.CreateRefused, "the host cannot give the template that size",
	},
	pb.Reason_REASON_TIMED_OUT: {
		connect.CodeDeadlineExceeded, fault.Timeout, "", "the host took too long",
	},
}

// unsaid has the reasons of errors without one: failures of the connection to a host, and
// errors of hosts of an earlier version.
var unsaid = map[connect.Code]pb.Reason{
	connect.CodeNotFound:           pb.Reason_REASON_SANDBOX_NOT_FOUND,
	connect.CodeFailedPrecondition: pb.Reason_REASON_WRONG_STATE,
	connect.CodeResourceExhausted:  pb.Reason_REASON_NO_ROOM,
	connect.CodeUnavailable:        pb.Reason_REASON_SHUTTING_DOWN,
	connect.CodeAborted:            pb.Reason_REASON_VM_ENDED,
	connect.CodeDeadlineExceeded:   pb.Reason_REASON_TIMED_OUT,
	connect.CodeCanceled:           pb.Reason_REASON_KILLED,
}

// Refuse makes the error by which a host refuses a request. explanation is for the
// sandbox's owner, and may be empty; err is for the log.
func Refuse(reason pb.Reason, explanation string, err error) *connect.Error {
	code := connect.CodeInternal
	if known, ok := meanings[reason]; ok {
		code = known.wire
	}
	refused := connect.NewError(code, err)
	if detail, err := connect.NewErrorDetail(&pb.Refusal{Reason: reason, Explanation: explanation}); err == nil {
		refused.AddDetail(detail)
	}
	return refused
}

// translate returns the fault for an error of a call to a host.
func translate(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, context.Canceled)
	}
	return faultOf(refusalOf(err), fmt.Errorf("%s: %w", doing, err))
}

// faultOf returns the fault for a refusal, or cause where it has no known reason.
func faultOf(refusal *pb.Refusal, cause error) error {
	known, ok := meanings[refusal.GetReason()]
	if !ok {
		return cause
	}
	message := known.message
	if refusal.GetExplanation() != "" {
		message = refusal.GetExplanation()
	}
	return fault.Wrap(known.code, cause, "%s", message).Because(known.reason)
}

// refusalOf returns the refusal among an error's details, or one by the error's code.
func refusalOf(err error) *pb.Refusal {
	var refused *connect.Error
	if errors.As(err, &refused) {
		for _, detail := range refused.Details() {
			value, err := detail.Value()
			if refusal, ok := value.(*pb.Refusal); ok && err == nil {
				return refusal
			}
		}
	}
	code := connect.CodeOf(err)
	if code == connect.CodeCanceled && !connect.IsWireError(err) {
		code = connect.CodeUnavailable // connect reports a connection that was reset as canceled
	}
	return &pb.Refusal{Reason: unsaid[code]}
}

// unlessAbsent returns nil for NotFound, which is success for a removal.
func unlessAbsent(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// refusedAs reports whether a host has given this reason.
func refusedAs(err error, reason pb.Reason) bool {
	return err != nil && refusalOf(err).GetReason() == reason
}

// Unreachable returns the fault for a host that the control plane has no connection to.
func Unreachable() error {
	return fault.New(fault.Unavailable, "the host cannot be reached at the moment")
}
