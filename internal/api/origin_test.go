package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

func ask(t *testing.T, w *world, method, path string, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.http.URL+path, nil)
	require.NoError(t, err)
	request.Header = header
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response
}

func TestOrigins_OfAnyPageMayUseTheRoutesOfPrograms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range routes(t, w) {
		path := r.path(w.team.ID)
		preflight := ask(t, w, http.MethodOptions, path, http.Header{
			"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {r.method},
			"Access-Control-Request-Headers": {"authorization,x-api-key,content-type,lang"},
		})
		rule := access.Rules[r.name()]
		ownPages := rule == auth.BySignIn() || strings.HasPrefix(r.pattern, "/auth/")
		if strings.HasPrefix(r.pattern, "/extensions/") {
			continue
		}
		require.Empty(t, preflight.Header.Get("Access-Control-Allow-Credentials"), r.name())
		if ownPages {
			require.Empty(t, preflight.Header.Get("Access-Control-Allow-Origin"), r.name())
			continue
		}
		require.Equal(t, http.StatusNoContent, preflight.StatusCode, r.name())
		require.Equal(t, "*", preflight.Header.Get("Access-Control-Allow-Origin"), r.name())
		require.Equal(t, r.method, preflight.Header.Get("Access-Control-Allow-Methods"))
		require.Equal(t, "authorization,x-api-key,content-type,lang", preflight.Header.Get("Access-Control-Allow-Headers"))
	}
	refused := ask(t, w, http.MethodGet, "/sandboxes", http.Header{"Origin": {"https://app.example.com"}})
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
	require.Equal(t, "*", refused.Header.Get("Access-Control-Allow-Origin"), "a page learns why")
	for _, name := range []string{"X-Next-Token", "X-Total-Running", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"} {
		require.Contains(t, refused.Header.Get("Access-Control-Expose-Headers"), name)
	}
	require.Empty(t, ask(t, w, http.MethodGet, "/sandboxes", http.Header{}).Header.Get("Access-Control-Allow-Origin"))
}

func TestOrigins_OfOthersNeverUseABrowsersSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.firstAdmin(t).session(t)
	cookie, csrf := session.Get("Cookie"), session.Get("X-Csrf-Token")
	require.NotEmpty(t, cookie)
	own := strings.TrimPrefix(w.http.URL, "http://")
	for _, from := range []struct {
		header http.Header
		passes bool
	}{
		{http.Header{}, true},
		{http.Header{"Origin": {w.http.URL}}, true},
		{http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}}, true},
		{http.Header{"Origin": {"https://app.example.com"}}, false},
		{http.Header{"Origin": {"null"}}, false},
		{http.Header{"Origin": {"http://8080-i0123456789abcdefghi." + own}}, false},
		{http.Header{"Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"no-cors"}}, false},
		{http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}, false},
	} {
		from.header.Set("Cookie", cookie)
		from.header.Set("X-Csrf-Token", csrf)
		for _, path := range []string{"/me", "/auth/session"} {
			want := http.StatusUnauthorized
			if from.passes {
				want = http.StatusOK
			}
			require.Equal(t, want, ask(t, w, http.MethodGet, path, from.header).StatusCode, "%s %v", path, from.header)
		}
	}
}

func TestAnswers_AreNeitherCachedNorSniffed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	session := w.firstAdmin(t).session(t)
	for _, path := range []string{"/auth/session", "/me", "/api-keys", "/nowhere", "/health"} {
		answer := ask(t, w, http.MethodGet, path, session)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"), path)
		require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"), path)
	}
	docs := ask(t, w, http.MethodGet, "/docs", http.Header{})
	require.Equal(t, "no-cache", docs.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", docs.Header.Get("X-Content-Type-Options"))
}
