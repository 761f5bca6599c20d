package proxy

import (
	"net/http"
	"strings"
)

// originOrders are headers by which an answer speaks for its whole origin, and caches
// before it, beyond itself.
var originOrders = []string{
	"Alt-Svc", "Cdn-Cache-Control", "Expires", "Nel", "Report-To", "Strict-Transport-Security", "Surrogate-Control",
}

// confine keeps a guest's answer from having effects on the address at which it was
// asked for by headers, which is the control API's and all sandboxes': a browser or a
// cache in front that kept it would show it in the place of the control API's own, and
// a cookie for the address's domain would be for the hosts of all sandboxes.
func confine(answer http.Header) {
	for _, name := range originOrders {
		delete(answer, name)
	}
	for i, cookie := range answer["Set-Cookie"] {
		answer["Set-Cookie"][i] = withoutForeignDomain(strings.Split(cookie, ";"), "")
	}
	answer.Set("Cache-Control", "no-store")
	answer.Add("Vary", clientSandboxHeader+", "+clientPortHeader)
}
