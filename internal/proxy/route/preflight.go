package route

import (
	"net/http"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
)

// isPreflightToSandbox reports whether a preflight announces a request that names a
// sandbox in its headers.
func isPreflightToSandbox(r *http.Request) bool {
	return httpserver.IsPreflight(r) && strings.Contains(strings.ToLower(r.Header.Get("Access-Control-Request-Headers")), strings.ToLower(SandboxHeader))
}

// allowAsking permits the request that a preflight announces although its sandbox is
// unknown or does not run, so that the browser can read the answer that says why.
func allowAsking(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Origin")
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
}
