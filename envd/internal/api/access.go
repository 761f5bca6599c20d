package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// secretHeader carries the host's secret. The host sets it on every request that it
// forwards, replacing the client's; no client knows the secret.
const secretHeader = "X-Access-Token"

// authenticate requires the host's secret as soon as an /init has set one. /health
// needs none, and /init checks the secret itself.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.authorise(r); err != nil {
			utils.WriteError(w, http.StatusUnauthorized, err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) authorise(r *http.Request) error {
	switch {
	case !s.settings.HasSecret(), r.URL.Path == "/health", r.URL.Path == "/init", r.Method == http.MethodOptions:
		return nil
	case s.settings.SecretIs(r.Header.Get(secretHeader)):
		return nil
	case r.Method == http.MethodGet && r.URL.Path == "/envs" && r.Header.Get(secretHeader) == "" && fromGuest(r) && !fromBrowser(r):
		// Every process that envd starts has these variables: they are no secret in the
		// guest. Servers that the template had started before, and that a fork has too, ask.
		return nil
	default:
		return errWrongSecret
	}
}

// fromGuest tells requests of the guest's own processes. The host's come from its gateway,
// and envd's relays lead to servers on loopback only, which envd is not.
func fromGuest(r *http.Request) bool {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && address.Addr().Unmap().IsLoopback()
}

// fromBrowser tells requests that a page in a browser may have made. A page's own site must
// not read the variables, whatever name it gave to loopback's address.
func fromBrowser(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	named := host == "localhost" || err == nil && address.IsLoopback()
	for name := range r.Header {
		if name == "Origin" || name == "Referer" || strings.HasPrefix(name, "Sec-") {
			return true
		}
	}
	return !named
}

// allowBrowsers answers CORS preflight requests and allows every origin: the secret
// protects envd, not the origin.
func allowBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Access-Control-Expose-Headers", "*")
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
			allowed := r.Header.Get("Access-Control-Request-Headers")
			if allowed == "" {
				allowed = "*"
			}
			header.Set("Access-Control-Allow-Headers", allowed)
			header.Set("Access-Control-Max-Age", "7200")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
