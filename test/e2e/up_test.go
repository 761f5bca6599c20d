package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// refusalTimeout is how long wrenn up may take to say that it cannot.
const refusalTimeout = 30 * time.Second

// counterCommand leaves a process behind that writes a number a line for ever,
// and prints its process ID.
const counterCommand = `cat > /tmp/counter.py <<'EOF'
import time
number = 0
with open("/tmp/count", "w", buffering=1) as out:
    while True:
        number += 1
        print(number, file=out)
        time.sleep(0.05)
EOF
setsid python3 /tmp/counter.py </dev/null >/dev/null 2>&1 & echo $!`

func TestUp_FindsPausedWhatRanBeforeDown(t *testing.T) {
	wrenn := running(t)
	s := createSandbox(t)
	processID := s.run(t, counterCommand)
	before := awaitCount(t, s, 10)

	require.NoError(t, wrenn.Down(t.Context()))
	require.NoError(t, wrenn.Up(t.Context()))

	detail := send(t, request{method: http.MethodGet, path: "/sandboxes/" + s.ID, key: validKey})
	require.Equal(t, http.StatusOK, detail.status, "body: %s", detail.body)
	require.Contains(t, string(detail.body), `"state":"paused"`)
	resumed := s.call(t, "resume", `{"timeout":60}`)
	require.Equal(t, http.StatusCreated, resumed.status, "body: %s", resumed.body)

	awaitCount(t, s, before+10)
	requireCountedOn(t, s, processID)
}

// awaitCount waits until the counter has reached at least this number.
func awaitCount(t *testing.T, s *sandbox, least int) int {
	t.Helper()
	count := 0
	require.Eventually(t, func() bool {
		var err error
		count, err = strconv.Atoi(s.run(t, "wc -l < /tmp/count || echo 0"))
		require.NoError(t, err)
		return count >= least
	}, 30*time.Second, 100*time.Millisecond, "the counter stands at %d", count)
	return count
}

func TestUp_WithThePortTakenSaysSo(t *testing.T) {
	wrenn := spare(t)
	listener, err := net.Listen("tcp", wrenn.Address)
	require.NoError(t, err)
	defer listener.Close()
	line := requireRefusal(t, upCommand(t, wrenn))
	require.Contains(t, line, wrenn.Address)
}

func TestUp_WithoutRootSaysSo(t *testing.T) {
	command := upCommand(t, spare(t))
	const nobody = 65534
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	require.Contains(t, requireRefusal(t, command), "root")
}

func TestUp_WithoutDiskSpaceSaysSo(t *testing.T) {
	wrenn := spare(t)
	require.NoError(t, syscall.Mount("tmpfs", wrenn.DataDir, "tmpfs", 0, "size=16m,mode=755"))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(wrenn.DataDir, 0)) })
	require.Contains(t, requireRefusal(t, upCommand(t, wrenn)), "space")
}

func TestUp_OnADataDirectoryInUseSaysSo(t *testing.T) {
	wrenn := running(t)
	second := *spare(t)
	second.DataDir = wrenn.DataDir
	require.Contains(t, requireRefusal(t, upCommand(t, &second)), "running")
	require.Equal(t, http.StatusNoContent, send(t, request{method: http.MethodGet, path: "/health"}).status)
}

func TestDown_WithNothingRunningSaysSoAndSucceeds(t *testing.T) {
	wrenn := spare(t)
	output, err := wrenn.Command(t.Context(), "down", "--data-dir", wrenn.DataDir).CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "not running")
}

// spare is an installation beside the shared one, that never gets to run.
func spare(t *testing.T) *installation.Installation {
	t.Helper()
	wrenn, err := installation.New(io.Discard)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, wrenn.Remove()) })
	return wrenn
}

func upCommand(t *testing.T, wrenn *installation.Installation) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), refusalTimeout)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, wrenn.Binary, "up", "--data-dir", wrenn.DataDir, "--listen", wrenn.Address)
	command.Env = os.Environ()
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	return command
}

// requireRefusal runs a command that must fail with one line on standard
// error, and returns that line.
func requireRefusal(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	var exit *exec.ExitError
	require.ErrorAs(t, command.Run(), &exit, "it said: %s", stderr.String())
	line := strings.TrimSpace(stderr.String())
	require.NotEmpty(t, line)
	require.NotContains(t, line, "\n", "it says more than a line")
	return line
}
