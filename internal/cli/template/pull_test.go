package template_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/templates"
)

func TestPull_BuildsStockTemplates(t *testing.T) {
	f := startFake(t)
	f.on("POST /dockerfiles/plan", http.StatusOK, object{"uploads": []object{}, "warnings": []object{}})
	f.on("POST /v3/templates", http.StatusAccepted, object{"templateID": "t1", "buildID": "b1", "names": []string{"team/code-interpreter-v1"}})
	f.on("POST /v2/templates/t1/builds/b1", http.StatusAccepted, object{})
	f.on("GET /templates/t1/builds/b1/status", http.StatusOK, object{"status": "ready", "logEntries": []object{}})
	program, err := os.Executable()
	require.NoError(t, err)
	server := filepath.Join(filepath.Dir(program), "wrenn-code-interpreter")

	_, stderr, code := run(t, "pull", "--stock", "code-interpreter-v1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "it needs the program wrenn-code-interpreter beside wrenn")

	require.NoError(t, os.WriteFile(server, []byte("a program"), 0o755))
	t.Cleanup(func() { _ = os.Remove(server) })
	stdout, stderr, code := run(t, "pull", "--stock", "code-interpreter-v1", "--cpus", "1")
	require.Zero(t, code, stderr)
	require.Equal(t, "t1\n", stdout)
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Contains(t, f.requests[0], `FROM e2bdev/base`)
	require.Equal(t, `POST /v3/templates {"cpuCount":1,"memoryMB":1024,"name":"code-interpreter-v1"}`, f.requests[1])
}

func TestPull_SaysWhatIsWrong(t *testing.T) {
	startFake(t)
	for want, arguments := range map[string][]string{
		`there is no stock template "nothing"; there are code-interpreter-v1, mcp-gateway`: {"--stock", "nothing"},
		"--start is not for --stock":                      {"--stock", "--start", "x"},
		"name one image, or stock templates with --stock": {},
	} {
		_, stderr, code := run(t, append([]string{"pull"}, arguments...)...)
		require.NotZero(t, code)
		require.Contains(t, stderr, want)
	}
}

func TestStock_IsDescribed(t *testing.T) {
	for _, one := range templates.All {
		content, err := os.ReadFile(filepath.Join("../../../templates", one.Directory, "README.md"))
		require.NoError(t, err)
		for _, want := range []string{"# " + one.Name + "\n", "pull --stock " + one.Name, "| size |", "## Licence", "from_template"} {
			require.Contains(t, string(content), want)
		}
	}
}
