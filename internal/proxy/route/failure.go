package route

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

var (
	notFound = forward.Failure{
		Code: http.StatusBadGateway, Message: "The sandbox was not found",
		Advice: "It has ended, or its ID in the address is wrong. Check the address, or create a new sandbox.",
	}
	paused = forward.Failure{
		Code: http.StatusBadGateway, Message: "The sandbox is paused",
		Advice: "Resume it, with Sandbox.connect of an SDK or with “wrenn sandbox resume”, and load this page again.",
	}
	failed = forward.Failure{
		Code: http.StatusBadGateway, Message: "The sandbox has failed",
		Advice: "Its details tell why. Create a new sandbox.",
	}
	notRunningYet = forward.Failure{
		Code: http.StatusBadGateway, Message: "The sandbox is not running yet", Advice: forward.DefaultAdvice,
	}
)

// notRunning is the failure of a request to a sandbox in a state other than running.
func notRunning(state sandbox.State) forward.Failure {
	switch state {
	case sandbox.Pausing, sandbox.Paused, sandbox.Resuming:
		return paused
	case sandbox.Broken:
		return failed
	case sandbox.Creating:
		return notRunningYet
	default:
		return notFound
	}
}
