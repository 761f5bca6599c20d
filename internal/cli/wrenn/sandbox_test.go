package wrenn

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
)

func TestCreate_PrintsTheIDAndNothingElse(t *testing.T) {
	f := startFake(t, nil)
	f.on("POST /sandboxes", http.StatusCreated, sandboxInfo{SandboxID: "i1"})
	stdout, stderr, code := wrenn(t, "sandbox", "create", "--timeout", "90s", "-e", "A=1=2", "-m", "by=me", "--no-internet", "--auto-pause", "--isolation", "vm", "mine")
	require.Zero(t, code, stderr)
	require.Equal(t, "i1\n", stdout)
	require.Contains(t, stderr, "from template mine, lives for 1m30s")
	require.Equal(t, []string{`POST /sandboxes {"templateID":"mine","timeout":90,"secure":true,"autoPause":true,` +
		`"allow_internet_access":false,"envVars":{"A":"1=2"},"metadata":{"by":"me"},"isolation":"vm"}`}, f.requests)
}

func TestCreate_WaitsForASizeThatBootsForTheFirstTime(t *testing.T) {
	f := startFake(t, nil)
	f.routes.HandleFunc("POST /sandboxes", func(w http.ResponseWriter, _ *http.Request) {
		if len(f.requests) < 3 {
			answer(w, http.StatusServiceUnavailable, map[string]any{"code": 503, "message": "try again in a moment", "error_code": "sandbox_placement_timeout"})
			return
		}
		answer(w, http.StatusCreated, sandboxInfo{SandboxID: "i1"})
	})
	stdout, stderr, code := wrenn(t, "sandbox", "create", "--cpus", "2", "--memory", "2048", "--disk", "8192", "mine")
	require.Zero(t, code, stderr)
	require.Equal(t, "i1\n", stdout)
	require.Equal(t, 1, strings.Count(stderr, "for the first time"))
	require.Len(t, f.requests, 3)
	require.Contains(t, f.requests[2], `"templateID":"mine","cpuCount":2,"memoryMB":2048,"diskSizeMB":8192`)

	f.requests = nil
	_, stderr, code = wrenn(t, "sandbox", "create", "mine")
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "try again in a moment", "another timeout is not waited for")
}

func TestList_ReadsEveryPage(t *testing.T) {
	f := startFake(t, nil)
	f.routes.HandleFunc("GET /v2/sandboxes", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("nextToken") {
		case "":
			w.Header().Set("X-Next-Token", "second page")
			answer(w, http.StatusOK, []sandboxInfo{{SandboxID: "i1", State: "running", Alias: "base", EndAt: time.Now().Add(time.Hour)}})
		case "second page":
			answer(w, http.StatusOK, []sandboxInfo{{SandboxID: "i2", State: "paused", TemplateID: "t2", CPUCount: 2, MemoryMB: 512}})
		default:
			answer(w, http.StatusBadRequest, nil)
		}
	})
	stdout, stderr, code := wrenn(t, "sandbox", "list")
	require.Zero(t, code, stderr)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, lines, 3)
	require.Regexp(t, `^SANDBOX +STATE +TEMPLATE`, lines[0])
	require.Regexp(t, `^i1 +running +base .* (1h0m0s|59m5\ds)$`, lines[1])
	require.Regexp(t, `^i2 +paused +t2 +2 +512 MiB .* -$`, lines[2])
}

func TestList_OfNothing(t *testing.T) {
	f := startFake(t, nil)
	f.on("GET /v2/sandboxes", http.StatusOK, []sandboxInfo{})
	stdout, stderr, code := wrenn(t, "sandbox", "list")
	require.Zero(t, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "wrenn sandbox create")

	stdout, _, code = wrenn(t, "sandbox", "list", "--json")
	require.Zero(t, code)
	require.JSONEq(t, "[]", stdout)
}

func TestKill_GoesOnAfterAFailureAndReportsIt(t *testing.T) {
	f := startFake(t, nil)
	f.on("DELETE /sandboxes/i1", http.StatusNotFound, map[string]any{"code": 404, "message": "gone"})
	f.on("DELETE /sandboxes/i2", http.StatusNoContent, nil)
	_, stderr, code := wrenn(t, "sandbox", "kill", "i1", "i2")
	require.Equal(t, cli.ExitFailure, code)
	require.Equal(t, "wrenn: kill i1: gone\n", stderr)
	require.Equal(t, []string{"DELETE /sandboxes/i1", "DELETE /sandboxes/i2"}, f.requests)
}

func TestResume_AsksForTheTimeout(t *testing.T) {
	f := startFake(t, nil)
	f.on("POST /sandboxes/i1/resume", http.StatusCreated, sandboxInfo{SandboxID: "i1"})
	_, stderr, code := wrenn(t, "sandbox", "resume", "--timeout", "1m", "i1")
	require.Zero(t, code, stderr)
	require.Equal(t, []string{`POST /sandboxes/i1/resume {"timeout":60}`}, f.requests)
}

func TestSandboxPath_KeepsAnIDInItsPlace(t *testing.T) {
	require.Equal(t, "/sandboxes/..%2F..%2Fhealth/pause", sandboxPath("../../health", "/pause"))
}
