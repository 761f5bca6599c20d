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

func TestMain(m *testing.M) {
	os.Exit(vmmtest.Main(m, vmmtest.Packages("systemd", "systemd-sysv")))
}

// TestDriver runs under software emulation; in the lab, under KVM.
func TestDriver(t *testing.T) {
	vmmtest.Run(t, openDriver)
}

func TestImages(t *testing.T) { vmmtest.RunImages(t, openDriver) }

func openDriver(t *testing.T) vmm.Driver {
	t.Helper()
	accelerator := cmp.Or(os.Getenv("WRENN_TEST_ACCELERATOR"), qemu.TCG)
	driver, err := qemu.New(t.Context(), accelerator, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	require.NoError(t, err)
	return driver
}
