// Package h2c keeps clients from turning a connection that is forwarded for them
// into one of HTTP/2, which would carry requests that nobody looked at.
package h2c

import (
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// Refuse takes the offer of an upgrade to HTTP/2 (RFC 7540, section 3.2) out of a
// request that a reverse proxy is about to send.
func Refuse(header http.Header) {
	if httpguts.HeaderValuesContainsToken(header["Upgrade"], "h2c") {
		header.Del("Upgrade")
		header.Del("Connection")
	}
	header.Del("Http2-Settings")
}
