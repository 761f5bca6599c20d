package gvisor

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

func TestMain(m *testing.M) { os.Exit(vmmtest.Main(m)) }

func TestDriver(t *testing.T) {
	binary := findBinary(t)
	vmmtest.Run(t, func(t *testing.T) vmm.Driver {
		t.Helper()
		driver, err := New(t.Context(), binary, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		require.NoError(t, err)
		return driver
	})
}

// findBinary finds runsc in bin/ of the repository, where make build puts it.
func findBinary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../../bin/" + Binary)
	require.NoError(t, err)
	if !isProgram(path) {
		t.Fatal("there is no bin/runsc: run make build")
	}
	return path
}
