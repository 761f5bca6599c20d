// Package extension holds Wrenn to its promise that another module can build an
// edition of it: it takes examples/extension out of this repository, and builds,
// tests and runs it there.
package extension

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
)

const (
	module = "git.omukk.dev/wrenn/sandbox"
	// patience is for a loaded machine that builds everything anew.
	patience = 10 * time.Minute
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// run runs Go in the copy. Vendoring, workspaces and a go.mod that
// is corrected on the way would hide what a user of the library meets.
func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false", "PWD="+dir)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s\nIf it is go.mod that has to be updated: cd examples/extension && go mod tidy", output)
}

// takeOut copies the example to where nothing of this repository is above it.
func takeOut(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	outside := t.TempDir()
	require.NoError(t, os.CopyFS(outside, os.DirFS(filepath.Join(root, "examples/extension"))))
	run(t, outside, "mod", "edit", "-replace", module+"="+root)
	return outside
}

func TestExample_IsBuiltAndTestedOutsideOfThisModule(t *testing.T) {
	t.Parallel()
	outside := takeOut(t)
	run(t, outside, "vet", "./...")
	run(t, outside, "test", "-count=1", "./...")
}

func TestExample_RunsAsAControlPlane(t *testing.T) {
	t.Parallel()
	outside := takeOut(t)
	run(t, outside, "build", "-o", "control-plane", ".")
	secret := make([]byte, auth.SecretKeySize)
	_, _ = rand.Read(secret)
	secretFile := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secretFile, secret, 0o600))
	address := freeAddress(t)

	server := exec.Command(filepath.Join(outside, "control-plane"))
	server.Env = append(os.Environ(), "DATABASE_URL="+dbtest.URL(t), "WRENN_SECRET_KEY_FILE="+secretFile, "WRENN_LISTEN="+address)
	server.Stdout, server.Stderr = t.Output(), t.Output()
	require.NoError(t, server.Start())
	ended := make(chan struct{})
	var outcome error
	go func() {
		outcome = server.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill() // where the test has failed
		<-ended
	})

	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/extensions/credits/price")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && response.StatusCode == http.StatusOK && string(body) == `{"creditsPerSandbox":1}`+"\n"
	}, time.Minute, 50*time.Millisecond, "the extension's route must answer")
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	select {
	case <-ended:
		require.NoError(t, outcome)
	case <-time.After(time.Minute):
		require.Fail(t, "the server did not end")
	}
}

// freeAddress is one that nobody listened at a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
