package route

import (
	"net"
	"net/http"
	"strings"
)

// forwardingPrefix begins the names of most headers in which proxies name their client.
const forwardingPrefix = "X-Forwarded-"

// nameClient adds the client's address to X-Forwarded-For. It keeps forwarding headers
// of the request only if they come from a trusted proxy.
func (t *Router) nameClient(r *http.Request) {
	if t.Clients == nil || !t.Clients.BehindProxy(r) {
		for name := range r.Header {
			plain := hyphenated(name)
			if strings.HasPrefix(plain, forwardingPrefix) || plain == "Forwarded" || plain == "X-Real-Ip" {
				delete(r.Header, name)
			}
		}
	}
	if client, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		r.Header.Add("X-Forwarded-For", client)
	}
	setDefault(r.Header, "X-Forwarded-Host", r.Host)
	setDefault(r.Header, "X-Forwarded-Proto", "http")
}

// hyphenated is a header's name with hyphens for underscores: CGI and WSGI servers do
// not distinguish them.
func hyphenated(name string) string {
	return http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// hostName is a Host header without its port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// setDefault sets a header that the request does not have.
func setDefault(header http.Header, name, value string) {
	if header.Get(name) == "" {
		header.Set(name, value)
	}
}
