package proxy

import (
	"net/http"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
)

// isPreflightToSandbox says whether the request that a preflight is for will name a
// sandbox in its headers.
func isPreflightToSandbox(r *http.Request) bool {
	return httpserver.IsPreflight(r) && strings.Contains(strings.ToLower(r.Header.Get("Access-Control-Request-Headers")), strings.ToLower(clientSandboxHeader))
}

// allowAsking permits the request that a preflight to a sandbox is about, where the
// sandbox is not known or does not run: the answer to that request says why.
func allowAsking(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Origin")
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
}
