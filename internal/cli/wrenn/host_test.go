package wrenn

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
)

const localAdminToken = "0011223344556677"

// startAdminAPI answers with an empty list of hosts and remembers the token that
// it was shown.
func startAdminAPI(t *testing.T) (url string, shown *atomic.Value) {
	t.Helper()
	shown = &atomic.Value{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown.Store(r.Header.Get("X-Admin-Token"))
		answer(w, http.StatusOK, []any{})
	}))
	t.Cleanup(server.Close)
	return server.URL, shown
}

// serveDataDir makes a data directory that this process seems to serve at a URL.
func serveDataDir(t *testing.T, url string) string {
	t.Helper()
	directory := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(directory, "run"), 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(directory, "secrets"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "secrets", "admin-token"), []byte(localAdminToken+"\n"), 0o600))
	pidFile, err := os.Create(filepath.Join(directory, "run", "wrenn.pid"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pidFile.Close()) })
	_, err = fmt.Fprintln(pidFile, os.Getpid())
	require.NoError(t, err)
	require.NoError(t, unix.FcntlFlock(pidFile.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	instance, err := json.Marshal(map[string]any{"pid": os.Getpid(), "url": url})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "run", "instance.json"), instance, 0o600))
	return directory
}

func TestHost_UsesTheAdminTokenOfTheDataDirectory(t *testing.T) {
	url, shown := startAdminAPI(t)
	directory := serveDataDir(t, url)
	t.Setenv("WRENN_ADMIN_TOKEN", "")
	for _, address := range []string{"", url} {
		t.Setenv("E2B_API_URL", address)
		_, stderr, code := wrenn(t, "host", "list", "--data-dir", directory)
		require.Zero(t, code, stderr)
		require.Equal(t, localAdminToken, shown.Swap(""))
	}
	t.Setenv("WRENN_ADMIN_TOKEN", "another")
	_, stderr, code := wrenn(t, "host", "list", "--data-dir", directory)
	require.Zero(t, code, stderr)
	require.Equal(t, "another", shown.Load())
}

func TestHost_ShowsTheAdminTokenToNoOtherServer(t *testing.T) {
	local, _ := startAdminAPI(t)
	elsewhere, shown := startAdminAPI(t)
	t.Setenv("WRENN_ADMIN_TOKEN", "")
	t.Setenv("E2B_API_URL", elsewhere)
	for _, directory := range []string{serveDataDir(t, local), t.TempDir()} {
		_, stderr, code := wrenn(t, "host", "list", "--data-dir", directory)
		require.Equal(t, cli.ExitFailure, code)
		require.Contains(t, stderr, "WRENN_ADMIN_TOKEN is not set")
		require.Nil(t, shown.Load(), "nothing must be sent")
	}
}

func TestHost_WithoutWrennSaysWhatToSet(t *testing.T) {
	t.Setenv("WRENN_ADMIN_TOKEN", "")
	t.Setenv("E2B_API_URL", "")
	_, stderr, code := wrenn(t, "host", "list", "--data-dir", t.TempDir())
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "no Wrenn is running in")
	require.Contains(t, stderr, "E2B_API_URL")
}

func TestHost_ShowsWhatIsolatesItsSandboxes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, []hostInfo{
			{HostID: "h1", Name: "one", State: "ready", Isolation: "vm", Driver: "qemu", Accelerator: "kvm", CPUCount: 4},
			{HostID: "h2", Name: "two", State: "pending"},
		})
	}))
	t.Cleanup(server.Close)
	t.Setenv("E2B_API_URL", server.URL)
	t.Setenv("WRENN_ADMIN_TOKEN", "t")
	listed, stderr, code := wrenn(t, "host", "list")
	require.Zero(t, code, stderr)
	require.Regexp(t, `one +ready +this control plane's +vm +4 `, listed)
	require.Regexp(t, `two +pending +this control plane's +unknown +0 `, listed)
	shown, stderr, code := wrenn(t, "host", "show", "one")
	require.Zero(t, code, stderr)
	require.Regexp(t, `(?m)^Isolation +vm, by qemu under kvm$`, shown)
	shown, _, _ = wrenn(t, "host", "show", "h2")
	require.Regexp(t, `(?m)^Isolation +not known: it has not been reached yet$`, shown)
	_, stderr, code = wrenn(t, "host", "show", "three")
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, `there is no host "three"`)
}
