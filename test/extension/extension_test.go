// Package extension tests that another module can build an edition of Wrenn: it copies
// examples/extension out of this repository, and builds, tests and runs it there. It also
// holds what pkg/ exports to the committed list.
package extension

import (
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db/dbtest"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

const (
	module = "git.omukk.dev/wrenn/sandbox"
	// patience is enough for a loaded machine that builds everything for the first time.
	patience = 10 * time.Minute
	// mostLines is the most that the example may have without its tests, so that it can
	// be read as documentation.
	mostLines = 400
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// run runs Go in the copy, without workspaces and without changes of go.mod, which would
// hide faults that a user of the module has.
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

// takeOut copies the example to a directory outside of this repository.
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

func TestExample_IsShort(t *testing.T) {
	t.Parallel()
	lines := 0
	require.NoError(t, filepath.WalkDir("../../examples/extension", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		content, err := os.ReadFile(path)
		lines += strings.Count(string(content), "\n")
		return err
	}))
	require.Positive(t, lines)
	require.Less(t, lines, mostLines)
}

// program is the example's, built outside of this repository, with the settings of a
// control plane.
type program struct {
	path        string
	environment []string
	url, key    string
}

// build builds the example. Its host agent is one for tests, whose sandboxes are only
// records.
func build(t *testing.T) program {
	t.Helper()
	outside, dir := takeOut(t), t.TempDir()
	run(t, outside, "build", "-o", "wrenn", ".")
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	secret := make([]byte, auth.SecretKeySize)
	_, _ = rand.Read(secret)
	agent, address, key := hosttest.Start(t, http.NotFoundHandler()), freeAddress(t), auth.NewKey()
	return program{path: filepath.Join(outside, "wrenn"), url: "http://" + address, key: key, environment: append(os.Environ(),
		"DATABASE_URL="+dbtest.URL(t), "WRENN_LISTEN="+address, "WRENN_PUBLIC_URL=http://"+address,
		"WRENN_SECRET_KEY_FILE="+write("secret", string(secret)), "WRENN_BOOTSTRAP_API_KEY_FILE="+write("key", key),
		"WRENN_HOST_AGENT_SOCKET="+agent.RPCSocket, "WRENN_HOST_TRAFFIC_SOCKET="+agent.TrafficSocket,
		"WRENN_BILLING_QUOTA=1", "WRENN_SSO_METADATA_FILE="+write("sso.xml", metadata),
	)}
}

// metadata is that of an identity provider to which browsers are sent.
const metadata = `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://sso.example.com/metadata">
<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://sso.example.com/sign-in"/>
</IDPSSODescriptor></EntityDescriptor>`

// command runs the program, which ends with the test.
func (p program) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), p.path, args...)
	command.Env = p.environment
	return command
}

// start runs the control plane until the test ends, as "wrenn up" does.
func (p program) start(t *testing.T) {
	t.Helper()
	server := p.command(t, "internal", "control-plane")
	server.Stdout, server.Stderr = t.Output(), t.Output()
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	server.WaitDelay = time.Minute
	require.NoError(t, server.Start())
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { require.ErrorIs(t, <-ended, context.Canceled) })
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/health", http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusNoContent
	}, time.Minute, 50*time.Millisecond, "the control plane must answer")
}

func (p program) ask(t *testing.T, method, path, body string) (status int, header http.Header, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-Api-Key", p.key)
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(content)
}

func TestExample_RunsOutsideOfThisModule(t *testing.T) {
	t.Parallel()
	p := build(t)
	p.start(t)

	t.Run("with the commands and settings of wrenn and its own", func(t *testing.T) {
		t.Parallel()
		output, err := p.command(t, "config", "control-plane").Output()
		require.NoError(t, err)
		require.Contains(t, string(output), "WRENN_BILLING_QUOTA=1  (environment")
		help, err := p.command(t, "up", "--help").Output()
		require.NoError(t, err)
		require.Contains(t, string(help), "Run all of Wrenn on this machine")
	})
	t.Run("with a veto and a bill", func(t *testing.T) {
		t.Parallel()
		status, _, body := p.ask(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`)
		require.Equal(t, http.StatusCreated, status, body)
		status, _, body = p.ask(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`)
		require.Equal(t, http.StatusPaymentRequired, status, body)
		require.Eventually(t, func() bool {
			_, _, body = p.ask(t, http.MethodGet, "/extensions/billing/bill", "")
			return strings.TrimSpace(body) == `{"sandboxes":1,"cents":5}`
		}, time.Minute, 50*time.Millisecond, "the worker must charge the sandbox")
	})
	t.Run("with its routes in the API's document", func(t *testing.T) {
		t.Parallel()
		_, _, document := p.ask(t, http.MethodGet, "/openapi.json", "")
		require.Contains(t, document, `"/extensions/billing/bill"`)
	})
	t.Run("with its way to sign in", func(t *testing.T) {
		t.Parallel()
		status, header, body := p.ask(t, http.MethodGet, "/auth/oidc/sso/start", "")
		require.Equal(t, http.StatusFound, status, body)
		require.Contains(t, header.Get("Location"), "https://sso.example.com/sign-in?SAMLRequest=")
	})
	t.Run("with a page for those who have signed in", func(t *testing.T) {
		t.Parallel()
		status, _, _ := p.ask(t, http.MethodGet, "/extensions/billing/prices", "")
		require.Equal(t, http.StatusForbidden, status, "an API key is not a user")
	})
}

// freeAddress returns an address of this machine whose port was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
