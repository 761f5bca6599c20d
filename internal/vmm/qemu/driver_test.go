package qemu_test

import (
	"cmp"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

func TestMain(m *testing.M) { os.Exit(vmmtest.Main(m)) }

// TestDriver runs under software emulation; in the lab, under KVM.
func TestDriver(t *testing.T) {
	accelerator := cmp.Or(os.Getenv("WRENN_TEST_ACCELERATOR"), qemu.TCG)
	vmmtest.Run(t, func(t *testing.T) vmm.Driver {
		t.Helper()
		driver, err := qemu.New(t.Context(), accelerator, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		require.NoError(t, err)
		return driver
	})
}
