package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// route is a route of the real router, with the real middlewares in front.
type route struct {
	method, pattern string
	middlewares     chi.Middlewares
}

func (r route) name() string { return r.method + " " + r.pattern }

// path fills the pattern in; the only team it names is the matrix's.
func (r route) path(team uuid.UUID) string {
	parts := strings.Split(r.pattern, "/")
	for i, part := range parts {
		switch {
		case part == "{teamID}":
			parts[i] = team.String()
		case strings.HasPrefix(part, "{"):
			parts[i] = uuid.NewString()
		}
	}
	return strings.Join(parts, "/")
}

func routes(t *testing.T, w *world) []route {
	t.Helper()
	router, ok := w.server.Handler().(chi.Routes)
	require.True(t, ok)
	var all []route
	err := chi.Walk(router, func(method, pattern string, _ http.Handler, middlewares ...func(http.Handler) http.Handler) error {
		all = append(all, route{method, pattern, append(chi.Middlewares{}, middlewares...)})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(all), 50)
	return all
}

// patient lets as many wrong credentials pass as a matrix needs.
func patient(w *world) {
	w.server.Access.Authenticator.(*auth.Authenticator).Failures = ratelimit.NewLimiter(1<<30, time.Nanosecond)
	unlimited := ratelimit.NewLimiter(1<<30, time.Nanosecond)
	w.server.Access.Limits = access.Limits{People: unlimited, Hosts: unlimited, Documents: unlimited}
}

func TestRoutes_EachSaysWhoMayCallIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	public := map[string]bool{}
	for _, r := range routes(t, w) {
		rule, declared := access.Rules[r.name()]
		require.True(t, declared, "rules.go does not say who may call %s", r.name())
		require.NotEqual(t, auth.Rule{}, rule, r.name())
		public[r.pattern] = rule.IsPublic()
	}
	for pattern, isPublic := range public {
		if isPublic && !strings.HasPrefix(pattern, "/auth/") {
			require.Contains(t, openToAll, pattern, "a route that is open to everybody is listed here, too")
		}
	}
}

// openToAll are the routes outside /auth/ that nobody needs a credential for.
var openToAll = []string{
	"/health", "/docs", "/docs/{section}", "/openapi.json", "/openapi.yaml", "/metrics", "/hosts/join", "/hosts/renew",
	"/.well-known/openid-configuration", "/.well-known/jwks.json",
}

func TestMatrix_EverybodyPassesWhereTheTableSaysAndNowhereElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patient(w)
	everybody := callers(t, w)
	reached := chi.NewRouter()
	all := routes(t, w)
	for _, r := range all {
		reached.Method(r.method, r.pattern, r.middlewares.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
			answer.WriteHeader(http.StatusNoContent)
		}))
	}
	passed := map[string]int{}
	for _, r := range all {
		for _, who := range everybody {
			request := httptest.NewRequest(r.method, r.path(w.team.ID), nil)
			request.Header = who.header.Clone()
			if request.Header == nil {
				request.Header = http.Header{}
			}
			recorder := httptest.NewRecorder()
			reached.ServeHTTP(recorder, request)
			want := who.may(access.Rules[r.name()], r.method, strings.Contains(r.pattern, "{teamID}"))
			require.Equal(t, want, recorder.Code, "%s by %s: %s", r.name(), who.name, recorder.Body)
			if want == http.StatusNoContent && !access.Rules[r.name()].IsPublic() {
				passed[who.name]++
			}
		}
	}
	// The matrix means something only if both happen.
	for _, name := range []string{"a key", "the session of the viewer", "an access token of the member", "a platform admin", "the admin token"} {
		require.Positive(t, passed[name], name)
	}
	require.Zero(t, passed["a revoked key"])
}

// The same again from outside: the real handlers, which nobody without a
// credential may reach.
func TestMatrix_StrangersReachNoHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patient(w)
	handler := w.server.Handler()
	for _, r := range routes(t, w) {
		if access.Rules[r.name()].IsPublic() {
			continue
		}
		for _, header := range []http.Header{{}, byKey(auth.NewKey()), byKey("x"), bearer("x"), session("x", "x"), {"X-Admin-Token": {""}}} {
			request := httptest.NewRequest(r.method, r.path(w.team.ID), strings.NewReader("{}"))
			request.Header = header
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			require.Equal(t, http.StatusUnauthorized, recorder.Code, "%s with %v: %s", r.name(), header, recorder.Body)
		}
	}
}

func TestMatrix_OtherMethodsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handler := w.server.Handler()
	all := routes(t, w)
	there := map[string]bool{}
	for _, r := range all {
		there[r.name()] = true
	}
	for _, r := range all {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PROPFIND"} {
			if there[method+" "+r.pattern] || shadowed(there, method, r.pattern) {
				continue
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequest(method, r.path(w.team.ID), nil))
			require.Equal(t, http.StatusMethodNotAllowed, recorder.Code, "%s %s: %s", method, r.pattern, recorder.Body)
		}
	}
}

// shadowed says whether another pattern takes the same path with this method, as
// DELETE /templates/{templateID} takes /templates/tags.
func shadowed(there map[string]bool, method, pattern string) bool {
	parts := strings.Split(pattern, "/")
	for name := range there {
		otherMethod, other, _ := strings.Cut(name, " ")
		others := strings.Split(other, "/")
		if otherMethod != method || len(others) != len(parts) {
			continue
		}
		same := true
		for i := range parts {
			same = same && (parts[i] == others[i] || strings.HasPrefix(others[i], "{"))
		}
		if same {
			return true
		}
	}
	return false
}
