package hostagent

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// sharedDataDir is the data directory of all agents of these tests, which run
// one after the other: the template in it is booted once.
var sharedDataDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "wrenn-hostagent-") })

func dataDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs real VMs in network namespaces")
	}
	directory, err := sharedDataDir()
	require.NoError(t, err)
	return directory
}

func TestMain(m *testing.M) {
	code := m.Run()
	if directory, err := sharedDataDir(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	} else if err := os.RemoveAll(directory); err != nil {
		fmt.Fprintln(os.Stderr, "an agent left something behind:", err)
		code = 1
	}
	os.Exit(code)
}
