// Package e2e looks at a whole Wrenn from outside: the built binary, its API,
// its command line and the official, unmodified SDK. It needs root.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/leakcheck"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// leakPatience is how long what Wrenn leaves behind may take to be gone.
const leakPatience = 10 * time.Second

// shared is the one Wrenn of this package, started by the first test that
// needs it and stopped by TestMain.
var shared struct {
	sync.Once
	before leakcheck.Snapshot
	wrenn  *installation.Installation
	// front is what stands before its replicas where there are several.
	front *front
	// images is the registry that templates are built from images of.
	images *images
	err    error
}

// TestMain gives Wrenn a host of its own, to which the SDK's packages are brought.
func TestMain(m *testing.M) {
	os.Exit(vmmtest.Main(installations{m}, prepareSDKCases, prepareBrowserCases, preparePythonSDK, imagetest.Prepare(imagetest.Busybox, imagetest.MinimalDebian, imagetest.SystemdDebian)))
}

// installations are the tests, which stop the Wrenn that they share.
type installations struct{ *testing.M }

func (i installations) Run() int {
	code := i.M.Run()
	if code != 0 && shared.wrenn != nil {
		printLogs(shared.wrenn)
	}
	if err := stopShared(); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: stop Wrenn: %v\nIts data stays in %s\n", err, shared.wrenn.DataDir)
		code = max(code, 1)
	}
	return code
}

// printLogs shows what the parts of Wrenn had to say to whoever looks for what
// a test has failed of.
func printLogs(wrenn *installation.Installation) {
	const lastBytes = 20_000
	paths, _ := filepath.Glob(filepath.Join(wrenn.DataDir, "logs", "*.log"))
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		fmt.Fprintf(os.Stderr, "the end of %s:\n%s\n", filepath.Base(path), content[max(0, len(content)-lastBytes):])
	}
}

// running returns the shared Wrenn, up and with a key.
func running(t *testing.T) *installation.Installation {
	t.Helper()
	shared.Do(func() {
		if shared.before, shared.err = leakcheck.Take(); shared.err != nil {
			return
		}
		shared.wrenn, shared.err = installation.New(&linePrefixer{prefix: "wrenn up: "})
		if shared.err != nil {
			return
		}
		if shared.front, shared.err = newFront(); shared.err != nil {
			return
		}
		if shared.images, shared.err = newImages(); shared.err != nil {
			return
		}
		shared.wrenn.Settings = []string{"WRENN_DOMAIN=" + shared.front.domain(), "WRENN_INSECURE_REGISTRIES=" + shared.images.address}
		fmt.Fprintf(os.Stderr, "starting Wrenn in %s; the first time on a machine makes the base image, for some minutes\n",
			shared.wrenn.DataDir)
		shared.err = shared.wrenn.Up(context.Background())
	})
	require.NoError(t, shared.err, "start Wrenn")
	return shared.wrenn
}

// stopShared stops the shared Wrenn, which must leave nothing on the machine.
func stopShared() error {
	if shared.wrenn == nil {
		return nil
	}
	if err := shared.wrenn.Down(context.Background()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), leakPatience)
	defer cancel()
	left, err := shared.before.LeftByInstallation(ctx, shared.wrenn.DataDir)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("it left behind:\n  %s", strings.Join(left, "\n  "))
	}
	return shared.wrenn.Remove()
}

// linePrefixer passes whole lines on to standard error, each with a prefix.
// os/exec writes to it from one goroutine.
type linePrefixer struct {
	prefix string
	rest   []byte
}

func (p *linePrefixer) Write(data []byte) (int, error) {
	p.rest = append(p.rest, data...)
	for {
		line, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(data), nil
		}
		fmt.Fprintf(os.Stderr, "%s%s\n", p.prefix, line)
		p.rest = rest
	}
}

// httpClient keeps tests apart: no connection outlives the test that made it.
func httpClient(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Transport: httpTransport(t)}
}

func httpTransport(t *testing.T) *http.Transport {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}
