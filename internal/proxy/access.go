package proxy

import (
	"net/http"
	"path"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
)

// Headers that carry a sandbox's credentials.
const (
	envdTokenHeader    = "X-Access-Token"
	trafficTokenHeader = "E2b-Traffic-Access-Token"
)

// hostRoutes are the guest agent's routes that only the host may call. Those
// below one of them are the host's as well.
var hostRoutes = map[string]bool{
	"init": true, "freeze": true, "unfreeze": true, "collapse": true,
	"fsfreeze": true, "fsthaw": true, "snapshot": true,
}

// Tokens derives the credentials of a sandbox.
type Tokens interface {
	EnvdAccess(sandboxID string, epochs auth.Epochs) string
	TrafficAccess(sandboxID string, epochs auth.Epochs) string
}

// epochsOf returns what a sandbox's tokens are derived from besides its ID.
func epochsOf(found db.GetSandboxWithEpochRow) auth.Epochs {
	return auth.Epochs{Team: found.TeamEpoch, Sandbox: found.Sandbox.TokenEpoch}
}

// refusal says why a request may not pass.
type refusal struct {
	status  int
	message string
}

// refuse decides whether a request may go to a port of a sandbox.
func refuse(r *http.Request, found db.GetSandboxWithEpochRow, port uint16, tokens Tokens) *refusal {
	if r.Method == http.MethodConnect {
		return &refusal{http.StatusMethodNotAllowed, "CONNECT is not possible here"}
	}
	if port == AgentPort {
		return refuseAgent(r, opensAgent(r, found, tokens))
	}
	token := tokens.TrafficAccess(found.Sandbox.ID, epochsOf(found))
	if found.Sandbox.Network.Public() || auth.Equal(r.Header.Get(trafficTokenHeader), token) {
		return nil
	}
	return &refusal{http.StatusForbidden, "The sandbox's ports need its traffic access token in the header e2b-traffic-access-token"}
}

// opensAgent says whether a request shows what the guest agent of a sandbox asks for.
func opensAgent(r *http.Request, found db.GetSandboxWithEpochRow, tokens Tokens) bool {
	return !found.Sandbox.Secure || auth.Equal(r.Header.Get(envdTokenHeader), tokens.EnvdAccess(found.Sandbox.ID, epochsOf(found)))
}

func refuseAgent(r *http.Request, trusted bool) *refusal {
	if isHostRoute(r.URL.Path) {
		return &refusal{http.StatusForbidden, "This route is only for the sandbox's host"}
	}
	if isOpen(r) || trusted {
		return nil
	}
	return &refusal{http.StatusUnauthorized, "The guest agent needs the sandbox's access token in the header X-Access-Token"}
}

// isHostRoute looks at the path as the laxest server would read it.
func isHostRoute(requested string) bool {
	cleaned := strings.ToLower(path.Clean("/" + strings.ReplaceAll(requested, `\`, "/")))
	first, _, _ := strings.Cut(strings.TrimPrefix(cleaned, "/"), "/")
	return hostRoutes[first]
}

// isOpen says whether a request needs no token here: a health check, a browser's
// question before its request, or a file whose URL is signed, which the guest
// agent verifies.
func isOpen(r *http.Request) bool {
	switch {
	case r.Method == http.MethodOptions:
		return r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
	case r.URL.Path == "/health":
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	case r.URL.Path == "/files":
		return r.URL.Query().Get("signature") != ""
	default:
		return false
	}
}

// mayResume says whether a request may bring back a sandbox that does not run:
// one that refuse lets pass, and not only because it is open to everybody. A
// health check asks whether a sandbox runs, which must not make it run.
func mayResume(r *http.Request, found db.GetSandboxWithEpochRow, to destination, tokens Tokens) bool {
	if !found.Sandbox.Resumable() {
		return false
	}
	return to.port != AgentPort || opensAgent(r, found, tokens) && r.URL.Path != "/health"
}
