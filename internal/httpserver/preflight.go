package httpserver

import "net/http"

// IsPreflight says whether a browser asks if a page of another origin may send a
// request. The question has none of the request's own headers, and so no credential.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
