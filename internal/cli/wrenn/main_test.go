package wrenn

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/gen/process/processconnect"
	"git.omukk.dev/wrenn/sandbox/internal/cli"
)

const testKey = "e2b_00112233445566778899aabbccddeeff00112233"

// fakeWrenn answers as the API and, for requests that name a sandbox, as its
// guest agent. It stands in for the real thing, which test/e2e uses, to reach
// answers that the real one does not give on demand.
type fakeWrenn struct {
	url    string
	routes *http.ServeMux

	mu       sync.Mutex
	requests []string // method, path and body
}

func startFake(t *testing.T, guest processconnect.ProcessHandler) *fakeWrenn {
	t.Helper()
	f := &fakeWrenn{routes: http.NewServeMux()}
	guestRoutes := http.NewServeMux()
	if guest != nil {
		guestRoutes.Handle(processconnect.NewProcessHandler(guest))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("E2b-Sandbox-Id") != "" {
			guestRoutes.ServeHTTP(w, r)
			return
		}
		f.serveAPI(w, r)
	}))
	t.Cleanup(server.Close)
	f.url = server.URL
	t.Setenv("E2B_API_URL", server.URL)
	t.Setenv("E2B_API_KEY", testKey)
	t.Setenv("E2B_SANDBOX_URL", "")
	return f
}

func (f *fakeWrenn) serveAPI(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	f.mu.Lock()
	f.requests = append(f.requests, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+body.String()))
	f.mu.Unlock()
	if r.Header.Get("X-Api-Key") != testKey {
		answer(w, http.StatusUnauthorized, map[string]any{"code": 401, "message": "the API key is not valid"})
		return
	}
	f.routes.ServeHTTP(w, r)
}

// on makes a route answer with a status and JSON.
func (f *fakeWrenn) on(route string, status int, body any) {
	f.routes.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) { answer(w, status, body) })
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body == nil {
		return
	}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}

// wrenn runs the command line with an empty standard input.
func wrenn(t *testing.T, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	nothing, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer nothing.Close()
	return wrennReading(t, nothing, arguments...)
}

func wrennReading(t *testing.T, input *os.File, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, problems bytes.Buffer
	s := cli.Streams{Input: input, Output: &out, Errors: &problems}
	code = cli.Execute(t.Context(), newRoot(s, nil), arguments, s)
	return out.String(), problems.String(), code
}

func TestMain_SaysInOneLineWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		says      string
	}{
		"unknown command":            {[]string{"dance"}, `unknown command "dance"`},
		"unknown sandbox command":    {[]string{"sandbox", "dance"}, `unknown command "dance"`},
		"unknown flag":               {[]string{"up", "--dance"}, "unknown flag"},
		"metadata without a value":   {[]string{"sandbox", "create", "-m", "dance"}, "NAME=VALUE"},
		"a timeout of nothing":       {[]string{"sandbox", "create", "--timeout", "0s"}, "too short"},
		"exec without a command":     {[]string{"sandbox", "exec", "i1", "--"}, "a command to run"},
		"a terminal where none is":   {[]string{"sandbox", "exec", "-t", "i1", "sh"}, "-t needs a terminal"},
		"what the API refuses":       {[]string{"sandbox", "kill", "i1"}, "kill i1: no such sandbox"},
		"an answer that is not JSON": {[]string{"sandbox", "pause", "i1"}, "500 Internal Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t, nil)
			f.on("GET /sandboxes/i1", http.StatusOK, sandboxInfo{SandboxID: "i1", State: "running"})
			f.on("DELETE /sandboxes/i1", http.StatusNotFound, map[string]any{"code": 404, "message": "no such sandbox"})
			f.routes.HandleFunc("POST /sandboxes/i1/pause", func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "<html>", http.StatusInternalServerError)
			})
			stdout, stderr, code := wrenn(t, test.arguments...)
			require.Equal(t, cli.ExitFailure, code)
			require.Empty(t, stdout)
			require.Contains(t, stderr, test.says)
			require.True(t, strings.HasPrefix(stderr, "wrenn: "), stderr)
			require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
		})
	}
}

func TestConnectAPI_SaysWhatIsMissing(t *testing.T) {
	for name, test := range map[string]struct {
		url, key string
		says     []string
	}{
		"a running Wrenn": {"", "", []string{"no Wrenn is running in", "wrenn up"}},
		"the key":         {"http://localhost:1", "", []string{"wrenn: E2B_API_URL is set but E2B_API_KEY is not\n"}},
		"the API":         {"http://localhost:1", testKey, []string{"the API does not answer", "connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("E2B_API_URL", test.url)
			t.Setenv("E2B_API_KEY", test.key)
			_, stderr, code := wrenn(t, "sandbox", "list", "--data-dir", t.TempDir())
			require.Equal(t, cli.ExitFailure, code)
			for _, text := range test.says {
				require.Contains(t, stderr, text)
			}
		})
	}
}
