package respond

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// advice is what clients are told of a refusal beside its status and message.
type advice struct {
	// errorCode is for programs; some are the other API's, the rest our own.
	errorCode string
	retry     retry
}

// retry says whether the same request, sent again, may be answered otherwise.
type retry int

const (
	byStatus retry = iota // as the status alone says
	worthwhile
	pointless
)

// advices is the one place where reasons get their error codes.
var advices = map[fault.Reason]advice{
	fault.NoCapacity:               {"sandbox_capacity_unavailable", worthwhile},
	fault.NoCompatibleHost:         {"sandbox_no_compatible_node", byStatus},
	fault.PlacementTimeout:         {"sandbox_placement_timeout", worthwhile},
	fault.CreateFailed:             {"sandbox_create_failed", worthwhile},
	fault.CreateRefused:            {"sandbox_create_refused", pointless},
	fault.GuestUnresponsiveAtPause: {"sandbox_snapshot_guest_agent_unresponsive", pointless},
	fault.SecretLimit:              {"secret_limit_reached", pointless},
	fault.IdempotencyMismatch:      {"idempotency_request_mismatch", pointless},
	fault.IdempotencyInProgress:    {"idempotency_in_progress", worthwhile},
	fault.IdempotencyUnknown:       {"idempotency_outcome_unknown", pointless},

	fault.Busy:              {"sandbox_busy", worthwhile},
	fault.WrongState:        {"sandbox_wrong_state", pointless},
	fault.Broken:            {"sandbox_broken", pointless},
	fault.Killed:            {"sandbox_killed", pointless},
	fault.MachineEnded:      {"sandbox_machine_ended", byStatus},
	fault.GuestUnresponsive: {"sandbox_guest_agent_unresponsive", byStatus},
	fault.TeamLimit:         {"team_limit_reached", pointless},
}

// adviceFor leaves the retry open for a fault of ours: whether it would help is not known.
func adviceFor(status int, reason fault.Reason) advice {
	given := advices[reason]
	if given.errorCode == "" && status == http.StatusInternalServerError {
		given.errorCode = "internal_server_error"
	}
	if given.retry != byStatus {
		return given
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		given.retry = worthwhile
	case http.StatusInternalServerError:
	default:
		given.retry = pointless
	}
	return given
}
