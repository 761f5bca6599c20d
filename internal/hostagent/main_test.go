package hostagent

import (
	"fmt"
	"io"
	"log" //nolint:depguard // where Go's HTTP client writes
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/image/imagetest"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

// shared is the data directory of all agents of these tests, which run one after the
// other, so that its template is booted once. A test that fails leaves its directory as it
// is, and the next test makes another.
var shared struct {
	sync.Mutex
	current string
	all     []string
}

func dataDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs real VMs in network namespaces")
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.current == "" {
		var err error
		shared.current, err = os.MkdirTemp("", "wrenn-hostagent-") //nolint:usetesting // several tests share it
		require.NoError(t, err)
		shared.all = append(shared.all, shared.current)
	}
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if t.Failed() {
			shared.current = ""
		}
	})
	return shared.current
}

// agents runs the tests and then removes their data.
type agents struct{ *testing.M }

func (a agents) Run() int {
	code := a.M.Run()
	for _, directory := range shared.all {
		if err := os.RemoveAll(directory); err != nil {
			fmt.Fprintln(os.Stderr, "an agent left something behind:", err)
			code = 1
		}
	}
	return code
}

// TestMain runs the tests in a host of their own.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http would write floods of hostile guests there
	os.Exit(vmmtest.Main(agents{m}, vmmtest.Packages("podman", "crun", "fuse-overlayfs"), imagetest.Prepare(imagetest.Busybox)))
}
