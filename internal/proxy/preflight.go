package proxy

import (
	"net/http"
	"strings"
)

// isPreflight says whether a browser asks if a page of another origin may send a
// request. The question has none of the request's own headers.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// isPreflightToSandbox says whether the request that a preflight is for will name a
// sandbox in its headers.
func isPreflightToSandbox(r *http.Request) bool {
	return isPreflight(r) && strings.Contains(strings.ToLower(r.Header.Get("Access-Control-Request-Headers")), strings.ToLower(clientSandboxHeader))
}

// allowAsking answers a preflight in the stead of a sandbox that is not known yet, or
// that does not run: the request itself is then answered, and says why.
func allowAsking(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Origin")
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
}
