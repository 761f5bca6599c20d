package respond

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// advice is what a refusal tells clients besides its status and message.
type advice struct {
	// errorCode is for programs. Some codes are E2B's.
	errorCode string
	retry     retry
}

// retry says whether the same request may succeed when it is sent again.
type retry int

const (
	byStatus retry = iota // the status decides
	worthwhile
	pointless
)

// advices has the error code and the retry of each reason.
var advices = map[fault.Reason]advice{
	fault.NoCapacity:               {"sandbox_capacity_unavailable", worthwhile},
	fault.NoCompatibleHost:         {"sandbox_no_compatible_node", byStatus},
	fault.IsolationDenied:          {"sandbox_isolation_denied", pointless},
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

// adviceFor returns the advice for a refusal. For an internal error without a reason it
// is not known whether a retry helps.
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
