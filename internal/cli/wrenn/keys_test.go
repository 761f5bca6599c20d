package wrenn

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cli"
	"git.omukk.dev/wrenn/sandbox/pkg/seal"
)

// startKeysAPI answers as a control plane that reads the secret keys in a file, and
// that has sealed everything again when it is asked for the third time.
func startKeysAPI(t *testing.T, file *atomic.Value) string {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/admin/keys" || r.Header.Get("X-Admin-Token") != localAdminToken {
			answer(w, http.StatusNotFound, nil)
			return
		}
		keys, err := seal.ReadKeys(file.Load().(string))
		assert.NoError(t, err)
		var listed []keyInfo
		for i, key := range keys {
			id, err := seal.IDOf(key)
			assert.NoError(t, err)
			listed = append(listed, keyInfo{KeyID: id.String(), Newest: i == 0, Known: true, SealedCount: max(0, 3-asked.Add(1))})
		}
		answer(w, http.StatusOK, listed)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestKeys_RotatePutsANewKeyInFrontAndWaitsUntilItIsInUse(t *testing.T) {
	var file atomic.Value
	directory := serveDataDir(t, startKeysAPI(t, &file))
	path := filepath.Join(directory, "secrets", "control-plane.key")
	file.Store(path)
	before := seal.NewKey()
	require.NoError(t, os.WriteFile(path, before, 0o600))
	t.Setenv("E2B_API_URL", "http://127.0.0.1:1") // where another Wrenn is does not matter
	_, stderr, code := wrenn(t, "keys", "rotate", "--data-dir", directory)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "it is in use")
	keys, err := seal.ReadKeys(path)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	require.Equal(t, before, keys[1])
	newest, err := seal.IDOf(keys[0])
	require.NoError(t, err)
	require.Contains(t, stderr, newest.String())
	require.NotContains(t, stderr, string(keys[0]))

	t.Setenv("E2B_API_URL", "")
	t.Setenv("WRENN_ADMIN_TOKEN", "")
	stdout, stderr, code := wrenn(t, "keys", "list", "--data-dir", directory)
	require.Zero(t, code, stderr)
	require.Regexp(t, newest.String()+` +newest`, stdout)
}

func TestKeys_RotateTakesAFileOfAControlPlaneThatRunsElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	_, stderr, code := wrenn(t, "keys", "rotate", "--file", path)
	require.Equal(t, cli.ExitFailure, code, "there is no key to keep")
	require.NoFileExists(t, path, stderr)
	require.NoError(t, os.WriteFile(path, seal.NewKey(), 0o600))
	_, stderr, code = wrenn(t, "keys", "rotate", "--file", path)
	require.Zero(t, code, stderr)
	keys, err := seal.ReadKeys(path)
	require.NoError(t, err)
	require.Len(t, keys, 2)
}
