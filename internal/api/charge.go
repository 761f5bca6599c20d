package api

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

const (
	// One address may use the public routes of people this often.
	publicBurst    = 30
	publicInterval = 6 * time.Second
	// Hosts come in numbers, and many of them from one address.
	hostBurst    = 200
	hostInterval = time.Second
	// Verifiers keep the documents that they ask for.
	documentBurst    = 100
	documentInterval = time.Second
)

// publicLimits bounds how often each address uses what asks for no credential.
type publicLimits struct {
	once   sync.Once
	people *auth.Limiter
	hosts  *auth.Limiter
	// documents are those of the issuer of identity tokens.
	documents *auth.Limiter
}

func (l *publicLimits) of(pattern string) *auth.Limiter {
	l.once.Do(func() {
		l.people = auth.NewLimiter(publicBurst, publicInterval)
		l.hosts = auth.NewLimiter(hostBurst, hostInterval)
		l.documents = auth.NewLimiter(documentBurst, documentInterval)
	})
	switch {
	case strings.HasPrefix(pattern, "/hosts/"):
		return l.hosts
	case strings.HasPrefix(pattern, wellKnown):
		return l.documents
	default:
		return l.people
	}
}

// chargePublic counts each use of a public route that can be guessed at, before
// its body is read. Like authorize it must be a middleware of the routes
// themselves.
func (s *Server) chargePublic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pattern := chi.RouteContext(r.Context()).RoutePattern()
		if rule, declared := rules[r.Method+" "+pattern]; declared && rule.IsPublic() && isCharged(r.Method, pattern) {
			if err := s.publicLimits.of(pattern).Take(auth.Network(s.Clients.Address(r))); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// isCharged leaves out what only shows public things and asks no database for them:
// health and documentation.
func isCharged(method, pattern string) bool {
	return method != http.MethodGet && method != http.MethodHead ||
		strings.HasPrefix(pattern, "/auth/oidc/") || strings.HasPrefix(pattern, wellKnown)
}
