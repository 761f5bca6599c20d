package access

import (
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

const (
	// The limits of one network on public routes for people.
	publicBurst    = 30
	publicInterval = 6 * time.Second
	// The limits for hosts are higher: many can have one address.
	hostBurst    = 200
	hostInterval = time.Second
	// The limits for verifiers of identity tokens, which cache the documents.
	documentBurst    = 100
	documentInterval = time.Second
)

// WellKnown begins the paths of the documents by which identity tokens are verified,
// below the issuer's address. Source: RFC 8615.
const WellKnown = "/.well-known/"

// Limits bounds how often each network uses public routes.
type Limits struct {
	// People, Hosts and Documents limit the public routes for people, for hosts, and of
	// the issuer of identity tokens. A nil limiter is replaced by the default.
	People, Hosts, Documents *ratelimit.Limiter

	once sync.Once
}

func (l *Limits) of(pattern string) *ratelimit.Limiter {
	l.once.Do(func() {
		l.People = cmp.Or(l.People, ratelimit.NewLimiter(publicBurst, publicInterval))
		l.Hosts = cmp.Or(l.Hosts, ratelimit.NewLimiter(hostBurst, hostInterval))
		l.Documents = cmp.Or(l.Documents, ratelimit.NewLimiter(documentBurst, documentInterval))
	})
	switch {
	case strings.HasPrefix(pattern, "/hosts/"):
		return l.Hosts
	case strings.HasPrefix(pattern, WellKnown):
		return l.Documents
	default:
		return l.People
	}
}

// ChargePublic applies Limits to public routes, before the body is read. Like Authorize
// it must be a middleware of the routes themselves.
func (c *Control) ChargePublic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := chi.RouteContext(r.Context()).RoutePattern()
		if rule, declared := Rules[r.Method+" "+pattern]; declared && rule.IsPublic() && isCharged(r.Method, pattern) {
			if err := c.Limits.of(pattern).Take(ratelimit.Network(c.Clients.Address(r))); err != nil {
				c.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isCharged reports whether a public route has a limit. Health and documentation have
// none: they need no work.
func isCharged(method, pattern string) bool {
	return method != http.MethodGet && method != http.MethodHead ||
		strings.HasPrefix(pattern, "/auth/oidc/") || strings.HasPrefix(pattern, WellKnown)
}
