package route

import (
	"errors"
	"net/http"
	"path"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// AgentTokenHeader carries a sandbox's access token for its guest agent.
const AgentTokenHeader = "X-Access-Token"

// trafficTokenHeader carries a sandbox's token for its other ports.
const trafficTokenHeader = "E2b-Traffic-Access-Token"

// hostRoutes are the first path elements of the guest agent's routes that only the
// host may call.
var hostRoutes = map[string]bool{
	"init": true, "freeze": true, "unfreeze": true, "collapse": true,
	"fsfreeze": true, "fsthaw": true, "snapshot": true,
}

// Tokens derives a sandbox's credentials.
type Tokens interface {
	EnvdAccess(sandboxID string, epochs auth.Epochs) string
	TrafficAccess(sandboxID string, epochs auth.Epochs) string
}

// located is a sandbox and the epochs from which its tokens are derived, beside its ID.
type located struct {
	sandbox.Sandbox
	epochs auth.Epochs
}

// refusal is the answer to a request that may not pass.
type refusal struct {
	status  int
	message string
}

// refuse decides whether a request may go to a port of a sandbox; nil means yes. No
// later check follows: the host agent authenticates every request to the guest agent
// with its own secret.
func refuse(r *http.Request, found located, port uint16, tokens Tokens) *refusal {
	if r.Method == http.MethodConnect {
		return &refusal{http.StatusMethodNotAllowed, "CONNECT is not possible here"}
	}
	if port == agentPort {
		return refuseAgent(r, found, tokens)
	}
	token := tokens.TrafficAccess(found.ID, found.epochs)
	if found.Network.Public() || auth.Equal(r.Header.Get(trafficTokenHeader), token) {
		return nil
	}
	return &refusal{http.StatusForbidden, "The sandbox's ports need its traffic access token in the header e2b-traffic-access-token"}
}

func refuseAgent(r *http.Request, found located, tokens Tokens) *refusal {
	if isHostRoute(r.URL.Path) {
		return &refusal{http.StatusForbidden, "This route is only for the sandbox's host"}
	}
	if isOpen(r) {
		return nil
	}
	if err := checkCredential(r, found, tokens); err != nil {
		return &refusal{http.StatusUnauthorized, err.Error()}
	}
	return nil
}

var errNoToken = errors.New("the guest agent needs the sandbox's access token in the header X-Access-Token")

// checkCredential checks a request's credential for the guest agent: the sandbox's
// access token or, for a file, a signature.
func checkCredential(r *http.Request, found located, tokens Tokens) error {
	shown, token := r.Header.Get(AgentTokenHeader), tokens.EnvdAccess(found.ID, found.epochs)
	switch {
	case !found.Secure, auth.Equal(shown, token):
		return nil
	case shown == "" && isSigned(r):
		return verifySignature(r, token, time.Now())
	default:
		return errNoToken
	}
}

// isHostRoute reads the path as the most lenient server would.
func isHostRoute(requested string) bool {
	cleaned := strings.ToLower(path.Clean("/" + strings.ReplaceAll(requested, `\`, "/")))
	first, _, _ := strings.Cut(strings.TrimPrefix(cleaned, "/"), "/")
	return hostRoutes[first]
}

// isOpen reports whether a request to the guest agent needs no credential: a preflight
// or a health check.
func isOpen(r *http.Request) bool {
	return httpserver.IsPreflight(r) || r.URL.Path == "/health" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// mayResume reports whether a request may resume a sandbox. For the guest agent's port
// that requires a credential, and a health check never resumes: it asks whether the
// sandbox runs.
func mayResume(r *http.Request, found located, to destination, tokens Tokens) bool {
	if !found.Resumable() {
		return false
	}
	return to.port != agentPort || r.URL.Path != "/health" && checkCredential(r, found, tokens) == nil
}
