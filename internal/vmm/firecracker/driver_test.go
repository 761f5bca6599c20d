package firecracker_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

func TestMain(m *testing.M) { os.Exit(vmmtest.Main(m)) }

// TestDriver needs a machine on which guests run under KVM: the lab.
func TestDriver(t *testing.T) {
	if os.Getenv("WRENN_TEST_ACCELERATOR") != "kvm" {
		t.Skip("Firecracker needs KVM that is known to work: run make lab-test")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	driver, err := firecracker.New(t.Context(), log)
	if err != nil {
		require.ErrorIs(t, err, firecracker.ErrNotInstalled)
		t.Skipf("Firecracker is not tested: %v", err)
	}
	vmmtest.Run(t, func(*testing.T) vmm.Driver { return driver })
}
