package webui_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/webui"
)

// nextStatus is what the handler behind the dashboard answers.
const nextStatus = http.StatusTeapot

func get(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(nextStatus) })
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(method, path, nil)
	for name, values := range header {
		request.Header[name] = values
	}
	webui.New("wrenn.example.com:3000").Before(next).ServeHTTP(recorder, request)
	return recorder.Result()
}

func body(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(content)
}

var script = regexp.MustCompile(`<script[^>]* src="(/app/assets/[^"]+\.js)"></script>`)

func TestDashboard_ServesItsPageForEachOfItsAddresses(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/first-admin", "/local", "/invitation", "/password-reset", "/second-factor", "/app", "/app/sandboxes/i123/files"} {
		response := get(t, http.MethodGet, path, nil)
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		require.Equal(t, "text/html; charset=utf-8", response.Header.Get("Content-Type"), path)
		require.Equal(t, "no-cache", response.Header.Get("Cache-Control"), path)
		require.Regexp(t, script, body(t, response), path)
	}
}

func TestDashboard_LeavesAllElseToTheAPI(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/sandboxes", "/health", "/templates", "/application", "/auth/local", "/docs", "/index.html"} {
		require.Equal(t, nextStatus, get(t, http.MethodGet, path, nil).StatusCode, path)
	}
	require.Equal(t, nextStatus, get(t, http.MethodPost, "/", nil).StatusCode)
}

func TestDashboard_HasAStrictPolicy(t *testing.T) {
	t.Parallel()
	response := get(t, http.MethodGet, "/app", nil)
	policy := response.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self';")
	require.Contains(t, policy, "connect-src 'self' *.wrenn.example.com:3000;")
	require.NotContains(t, policy, "unsafe")
	page := body(t, response)
	require.NotRegexp(t, `(?i)<style|\sstyle=|\son[a-z]+=|javascript:|https?://`, page, "what the policy forbids, and other origins")
	require.Empty(t, regexp.MustCompile(`<script[^>]*>[^<]`).FindAllString(page, -1), "inline scripts")
}

func TestDashboard_LetsFilesBeKeptThatNeverChange(t *testing.T) {
	t.Parallel()
	page := get(t, http.MethodGet, "/", nil)
	found := script.FindStringSubmatch(body(t, page))
	require.NotNil(t, found)
	plain := get(t, http.MethodGet, found[1], nil)
	require.Equal(t, "public, max-age=31536000, immutable", plain.Header.Get("Cache-Control"))
	require.Equal(t, "text/javascript; charset=utf-8", plain.Header.Get("Content-Type"))
	require.Empty(t, plain.Header.Get("Content-Encoding"))
	small := get(t, http.MethodGet, found[1], http.Header{"Accept-Encoding": {"br;q=1.0, gzip;q=0.8"}})
	require.Equal(t, "gzip", small.Header.Get("Content-Encoding"))
	require.Less(t, len(body(t, small)), len(body(t, plain))/2)
	refusing := get(t, http.MethodGet, found[1], http.Header{"Accept-Encoding": {"gzip;q=0"}})
	require.Empty(t, refusing.Header.Get("Content-Encoding"))
	require.Empty(t, body(t, get(t, http.MethodHead, found[1], nil)))
	require.Equal(t, http.StatusNotFound, get(t, http.MethodGet, "/app/assets/index-0000.js", nil).StatusCode, "a page is no script")
}

var linked = regexp.MustCompile(`(?:src|href)="(/app/assets/[^"]+)"`)

func TestDashboard_HasASmallFirstPage(t *testing.T) {
	t.Parallel()
	const limit = 350 << 10 // bytes, compressed
	compressed := http.Header{"Accept-Encoding": {"gzip"}}
	page := body(t, get(t, http.MethodGet, "/app", nil))
	size := len(page)
	files := linked.FindAllStringSubmatch(page, -1)
	require.GreaterOrEqual(t, len(files), 2, "a script and a style sheet")
	for _, file := range files {
		size += len(body(t, get(t, http.MethodGet, file[1], compressed)))
	}
	require.Less(t, size, limit)
}
