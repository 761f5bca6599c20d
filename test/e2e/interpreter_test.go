package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	interpreterProgram = "../../bin/wrenn-code-interpreter"
	// interpreterStart is how long Jupyter may take to start on this machine.
	interpreterStart = time.Minute
)

// TestCodeInterpreter_ByTheSDKs has E2B's SDKs of code interpreters call the server that
// the stock template has, on this machine: Jupyter is quick here. It needs no Wrenn.
func TestCodeInterpreter_ByTheSDKs(t *testing.T) {
	url := startCodeInterpreter(t)
	environment := append(os.Environ(), "E2B_DEBUG=true", "E2B_API_KEY=e2b_00", "E2B_SANDBOX_URL="+url, "INTERPRETER_CHARTS=true")
	runInterpreterCases(t, environment)
}

// runInterpreterCases runs the cases of both SDKs.
func runInterpreterCases(t *testing.T, environment []string) {
	t.Helper()
	t.Run("javascript", func(t *testing.T) {
		command := exec.Command("node", "--test-reporter=./dist/reporter.js", filepath.Join("dist", "interpreter.cases.js"))
		command.Dir, command.Env = sdkCases(t), environment
		runSDKFile(t, command)
	})
	t.Run("python", func(t *testing.T) {
		if reason := os.Getenv(noPythonVariable); reason != "" {
			t.Skip(reason)
		}
		command := exec.Command(os.Getenv(pythonVariable), "run.py", "interpreter_cases")
		command.Dir, command.Env = pythonSource, append(environment, "PYTHONDONTWRITEBYTECODE=1")
		runSDKFile(t, command)
	})
}

// startCodeInterpreter starts the server and returns its URL.
func startCodeInterpreter(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	command := exec.CommandContext(context.WithoutCancel(t.Context()), interpreterProgram,
		"--listen", address, "--directory", t.TempDir(), "--home", t.TempDir(), "--agent", "")
	command.Stdout, command.Stderr = t.Output(), t.Output()
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		require.NoError(t, command.Process.Signal(syscall.SIGTERM))
		require.NoError(t, command.Wait())
	})
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, interpreterStart, 100*time.Millisecond, "the code interpreter is ready")
	return "http://" + address
}
