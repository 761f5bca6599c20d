package route

import (
	"net/http"
	"strings"
)

// cleanAnswer removes from a guest's answer what would affect other sandboxes or the
// control API: internal headers, cookies with the control API's names, and cookies for
// a wider domain than the host name in the request.
func cleanAnswer(header http.Header, host string) {
	for name := range header {
		if strings.HasPrefix(name, internalPrefix) {
			delete(header, name)
		}
	}
	// Browsers would clear the cookies of the whole registrable domain.
	header.Del("Clear-Site-Data")
	var kept []string
	for _, cookie := range header["Set-Cookie"] {
		parts := strings.Split(cookie, ";")
		if !cookiePattern.MatchString(pairName(parts[0])) {
			kept = append(kept, withoutForeignDomain(parts, host))
		}
	}
	delete(header, "Set-Cookie")
	if len(kept) > 0 {
		header["Set-Cookie"] = kept
	}
}

// withoutForeignDomain removes a cookie's Domain attribute unless it is host, so that
// browsers send the cookie only to the host that set it.
func withoutForeignDomain(parts []string, host string) string {
	kept := parts[:1]
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		domain := strings.TrimPrefix(strings.TrimSpace(value), ".")
		if !strings.EqualFold(strings.TrimSpace(name), "Domain") || strings.EqualFold(domain, host) {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ";")
}

// originHeaders are answer headers that affect a whole origin or the caches in front
// of it.
var originHeaders = []string{
	"Alt-Svc", "Cdn-Cache-Control", "Expires", "Nel", "Report-To", "Strict-Transport-Security", "Surrogate-Control",
}

// confine limits the effects of a guest's answer at the address that the control API
// and all sandboxes share, where headers name the sandbox. A browser or cache must not
// store it as an answer of the control API, and a cookie for the address's domain would
// be sent to every sandbox.
func confine(answer http.Header) {
	for _, name := range originHeaders {
		delete(answer, name)
	}
	for i, cookie := range answer["Set-Cookie"] {
		answer["Set-Cookie"][i] = withoutForeignDomain(strings.Split(cookie, ";"), "")
	}
	answer.Set("Cache-Control", "no-store")
	answer.Add("Vary", SandboxHeader+", "+PortHeader)
}
