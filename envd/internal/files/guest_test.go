package files

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// patience is how long a test waits for what ought to happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guest is a handler behind a real server, as clients see it. Its default user
// is root, whose its directory is.
type guest struct {
	t         testing.TB
	handler   *Handler
	url       string
	directory string
}

func newGuest(t testing.TB) *guest {
	t.Helper()
	require.Zero(t, os.Geteuid(), "giving files to other users takes root")
	told := settings.New()
	directory := t.TempDir()
	told.Apply(settings.Update{User: "root", Workdir: directory})
	handler := New(told, slog.New(slog.DiscardHandler))
	router := http.NewServeMux()
	router.HandleFunc("GET /files", handler.Download)
	router.HandleFunc("POST /files", handler.Upload)
	router.HandleFunc("POST /files/compose", handler.Compose)
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return &guest{t: t, handler: handler, url: server.URL, directory: directory}
}

func nobody(t testing.TB) *permissions.User {
	t.Helper()
	found, err := permissions.Lookup("nobody")
	require.NoError(t, err)
	return found
}

type answer struct {
	status int
	body   string
	header http.Header
}

// ask sends a request; headers come in pairs.
func (g *guest) ask(method, route string, query url.Values, body io.Reader, headers ...string) answer {
	g.t.Helper()
	request, err := http.NewRequestWithContext(g.t.Context(), method, g.url+route+"?"+query.Encode(), body)
	require.NoError(g.t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	// Otherwise the client asks for gzip by itself, and hides it.
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	response, err := client.Do(request)
	require.NoError(g.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(g.t, err)
	return answer{response.StatusCode, string(content), response.Header}
}

// at is the query for a path, and for a user unless that is the default one.
func at(path, username string) url.Values {
	query := url.Values{"path": {path}}
	if username != "" {
		query.Set("username", username)
	}
	return query
}

func (g *guest) get(path, username string, headers ...string) answer {
	g.t.Helper()
	return g.ask(http.MethodGet, "/files", at(path, username), http.NoBody, headers...)
}

func (g *guest) put(path, username, content string, headers ...string) answer {
	g.t.Helper()
	headers = append([]string{"Content-Type", "application/octet-stream"}, headers...)
	return g.ask(http.MethodPost, "/files", at(path, username), strings.NewReader(content), headers...)
}

func (g *guest) compose(body string) answer {
	g.t.Helper()
	return g.ask(http.MethodPost, "/files/compose", nil, strings.NewReader(body), "Content-Type", "application/json")
}

// path is one in the guest's directory.
func (g *guest) path(name string) string { return filepath.Join(g.directory, name) }

func (g *guest) write(name, content string, mode os.FileMode) string {
	g.t.Helper()
	path := g.path(name)
	require.NoError(g.t, os.WriteFile(path, []byte(content), mode))
	require.NoError(g.t, os.Chmod(path, mode))
	return path
}

func (g *guest) requireContent(path, want string) {
	g.t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(g.t, err)
	require.Equal(g.t, want, string(got))
}

// requireNoDraft checks that nothing unfinished is left below a directory.
func requireNoDraft(t testing.TB, directory string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(directory, func(path string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		require.False(t, strings.HasPrefix(filepath.Base(path), filesystem.UploadPrefix), "%s was left", path)
		return nil
	}))
}

// awaitDrafts waits until so many uploads to the guest's directory are under way:
// the files they fill are open, with a name of their own or without any.
func (g *guest) awaitDrafts(want int) {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		links, err := filepath.Glob("/proc/self/fd/*")
		require.NoError(g.t, err)
		count := 0
		for _, link := range links {
			target, err := os.Readlink(link)
			below, found := strings.CutPrefix(target, g.directory+"/")
			if err == nil && found && (strings.HasPrefix(below, filesystem.UploadPrefix) || strings.HasSuffix(below, " (deleted)")) {
				count++
			}
		}
		return count == want
	}, patience, time.Millisecond, "%d uploads are not under way", want)
}

type formPart struct{ field, filename, content string }

// form encodes a multipart body and says its content type.
func form(t testing.TB, parts ...formPart) (body *bytes.Buffer, contentType string) {
	t.Helper()
	body = &bytes.Buffer{}
	writer := multipart.NewWriter(body)
	for _, part := range parts {
		content, err := writer.CreateFormFile(part.field, part.filename)
		require.NoError(t, err)
		_, err = io.WriteString(content, part.content)
		require.NoError(t, err)
	}
	require.NoError(t, writer.Close())
	return body, writer.FormDataContentType()
}

func jsonString(t testing.TB, text string) string {
	t.Helper()
	encoded, err := json.Marshal(text)
	require.NoError(t, err)
	return string(encoded)
}
