// Package proxyheader prepares the headers of requests that a reverse proxy sends.
package proxyheader

import (
	"net/http"
	"net/http/httputil"

	"golang.org/x/net/http/httpguts"
)

// forwarding are the headers that httputil removes from a request before its Rewrite.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// Prepare restores a request's forwarding headers, and removes the offer of an upgrade
// to HTTP/2 (RFC 7540, section 3.2): a connection that was upgraded would carry requests
// past the proxy.
func Prepare(r *httputil.ProxyRequest) {
	for _, name := range forwarding {
		if values, found := r.In.Header[name]; found {
			r.Out.Header[name] = values
		}
	}
	refuseUpgrade(r.Out.Header)
}

func refuseUpgrade(header http.Header) {
	if httpguts.HeaderValuesContainsToken(header["Upgrade"], "h2c") {
		header.Del("Upgrade")
		header.Del("Connection")
	}
	header.Del("Http2-Settings")
}
