package template_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/internal/cli/template"
)

// fakeAPI answers as the API; test/e2e uses the real one.
type fakeAPI struct {
	url    string
	routes *http.ServeMux

	mu       sync.Mutex
	requests []string // method, path and body
}

func startFake(t *testing.T) *fakeAPI {
	t.Helper()
	f := &fakeAPI{routes: http.NewServeMux()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/upload") {
			body = []byte("an archive")
		}
		f.mu.Lock()
		f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
		f.mu.Unlock()
		f.routes.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	t.Setenv("E2B_API_URL", server.URL)
	t.Setenv("E2B_API_KEY", "e2b_0011")
	return f
}

// on makes a route answer with a status and the answers in turn, the last one for ever.
func (f *fakeAPI) on(route string, status int, answers ...any) {
	var mu sync.Mutex
	f.routes.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if len(answers) == 0 {
			return
		}
		_ = json.NewEncoder(w).Encode(answers[0])
		if len(answers) > 1 {
			answers = answers[1:]
		}
	})
}

func run(t *testing.T, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, messages bytes.Buffer
	s := cli.Streams{Input: os.Stdin, Output: &out, Errors: &messages}
	code = cli.Execute(t.Context(), template.New(s), arguments, s)
	return out.String(), messages.String(), code
}

type object = map[string]any

func TestBuild_PlansUploadsStartsAndFollows(t *testing.T) {
	f := startFake(t)
	directory := filepath.Join(t.TempDir(), "My App")
	require.NoError(t, os.MkdirAll(directory, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte("FROM debian\nCOPY a /a\nCOPY b /b\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "a"), []byte("1"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "b"), []byte("2"), 0o644))
	t.Setenv("TOKEN", "s3cret")
	f.on("POST /dockerfiles/plan", http.StatusOK, object{
		"uploads":  []object{{"step": "1", "sources": []string{"a"}}, {"step": "2", "sources": []string{"b"}}},
		"warnings": []object{{"line": 3, "text": "beware"}},
	})
	f.on("POST /v3/templates", http.StatusAccepted, object{"templateID": "t1", "buildID": "b1", "names": []string{"team/my-app"}})
	f.on("GET /templates/t1/files/{hash}", http.StatusCreated, object{"present": false, "url": f.url + "/upload"}, object{"present": true, "url": f.url + "/upload"})
	f.on("PUT /upload", http.StatusOK)
	f.on("POST /v2/templates/t1/builds/b1", http.StatusAccepted)
	f.on("GET /templates/t1/builds/b1/status", http.StatusOK,
		object{"status": "building", "logEntries": []object{{"message": "[base] FROM debian", "step": "base", "level": "info"}}},
		object{"status": "ready", "logEntries": []object{{"message": "[builder 1/2] \x1b[31mCOPY", "step": "1", "level": "info"}}},
		object{"status": "ready", "logEntries": []object{}})

	stdout, stderr, code := run(t, "build", directory, "--secret", "id=token,env=TOKEN", "--build-arg", "V=1", "--start", "serve", "--init", "systemd", "--cpus", "1")
	require.Zero(t, code, stderr)
	require.Equal(t, "t1\n", stdout)
	require.Contains(t, stderr, "Dockerfile:3: beware")
	require.Contains(t, stderr, "[base] FROM debian")
	require.Contains(t, stderr, "�[31mCOPY")
	require.NotContains(t, stderr, "\x1b")
	require.Contains(t, stderr, "wrenn sandbox create team/my-app")

	require.Contains(t, f.requests[0], `POST /dockerfiles/plan {"content":"FROM debian\nCOPY a /a\nCOPY b /b\n","buildArgs":{"V":"1"}}`)
	require.Equal(t, `POST /v3/templates {"cpuCount":1,"memoryMB":1024,"name":"my-app"}`, f.requests[1])
	require.Equal(t, "PUT /upload an archive", f.requests[3])
	var started struct {
		Dockerfile struct{ Files map[string]string }
		Secrets    map[string][]byte
		StartCmd   string
		Init       string
		Force      bool
	}
	_, body, _ := strings.Cut(f.requests[5], "/builds/b1 ")
	require.NoError(t, json.Unmarshal([]byte(body), &started))
	require.Equal(t, "s3cret", string(started.Secrets["token"]))
	require.Equal(t, "serve", started.StartCmd)
	require.Equal(t, "systemd", started.Init)
	require.Len(t, started.Dockerfile.Files["1"], 64)
	require.NotEqual(t, started.Dockerfile.Files["1"], started.Dockerfile.Files["2"])
}

func TestBuild_OfAFaultyDockerfileRequestsNothing(t *testing.T) {
	f := startFake(t)
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte("FRMO debian\n"), 0o644))
	f.on("POST /dockerfiles/plan", http.StatusBadRequest, object{"code": 400, "message": "line 1: unknown instruction: FRMO"})
	_, stderr, code := run(t, "build", directory)
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "Dockerfile: line 1: unknown instruction: FRMO")
	require.Len(t, f.requests, 1)
}

func TestBuild_WithoutADockerfileSaysSo(t *testing.T) {
	startFake(t)
	_, stderr, code := run(t, "build", t.TempDir())
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "has no Dockerfile; name one with --file, or a directory")
}

func TestPull_FailsAsTheBuildDoes(t *testing.T) {
	f := startFake(t)
	f.on("POST /v3/templates", http.StatusAccepted, object{"templateID": "t1", "buildID": "b1"})
	f.on("POST /v2/templates/t1/builds/b1", http.StatusAccepted)
	f.on("GET /templates/t1/builds/b1/status", http.StatusOK,
		object{"status": "error", "logEntries": []object{}, "reason": object{"step": "base", "message": "the image was not found"}})
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("pw\n"), 0o600))
	_, stderr, code := run(t, "pull", "registry.example.com/team/App:v1@sha256:00", "--user", "me", "--password-file", password)
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "wrenn: app: the build failed at step base: the image was not found")
	require.Contains(t, f.requests[1], `"fromImageRegistry":{"password":"pw","type":"registry","username":"me"}`)
	require.Contains(t, f.requests[1], `"useImageCommand":true`)
}

func TestLogs_OfTheNewestBuildAsJSON(t *testing.T) {
	f := startFake(t)
	f.on("GET /templates/mine", http.StatusOK, object{"templateID": "t1", "builds": []object{{"buildID": "b2"}, {"buildID": "b1"}}})
	f.on("GET /templates/t1/builds/b2/status", http.StatusOK,
		object{"status": "ready", "logEntries": []object{{"message": "one", "level": "info"}}}, object{"status": "ready", "logEntries": []object{}})
	stdout, stderr, code := run(t, "logs", "mine", "--json")
	require.Zero(t, code, stderr)
	require.JSONEq(t, `{"timestamp":"0001-01-01T00:00:00Z","message":"one","level":"info"}`, stdout)
	require.Contains(t, f.requests[2], "logsOffset=1")
}

func TestList_ShowsTemplates(t *testing.T) {
	f := startFake(t)
	f.on("GET /templates", http.StatusOK, []object{{"templateID": "t1", "names": []string{"a", "b"}, "buildStatus": "ready", "public": true}})
	stdout, stderr, code := run(t, "list")
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^NAME +TEMPLATE +STATUS.*\na,b +t1 +ready .* yes`, stdout)
}

func TestChanges_CallTheAPI(t *testing.T) {
	for want, arguments := range map[string][]string{
		`PATCH /v2/templates/a {"public":true}`:                   {"publish", "a"},
		`PATCH /v2/templates/a {"public":false}`:                  {"unpublish", "a"},
		`DELETE /templates/a%2Fb`:                                 {"delete", "a/b"},
		`POST /templates/tags {"tags":["x","y"],"target":"a:v1"}`: {"tag", "a:v1", "x", "y"},
	} {
		f := startFake(t)
		f.on("/", http.StatusOK, object{})
		_, stderr, code := run(t, arguments...)
		require.Zero(t, code, stderr)
		require.Equal(t, []string{want}, f.requests)
	}
}

func TestBuild_RefusesMalformedFlags(t *testing.T) {
	startFake(t)
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte("FROM a\n"), 0o644))
	for flag, want := range map[string]string{
		"--secret=token":           "has no id",
		"--secret=id=NO_SUCH_NAME": "the variable NO_SUCH_NAME is not set",
		"--build-arg==1":           "is neither NAME=VALUE nor NAME",
		"--registry=host=user":     "must be HOST=USER:PASSWORD",
	} {
		_, stderr, code := run(t, "build", directory, flag)
		require.Equal(t, cli.ExitFailure, code, flag)
		require.Contains(t, stderr, want)
	}
}
