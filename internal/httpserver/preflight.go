package httpserver

import "net/http"

// IsPreflight reports whether a request is a CORS preflight. A preflight has none of
// the headers of the request that follows, so it has no credential.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
