package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestIdentity_IsNewEachTimeAndCoversWhatIsThere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	directory := t.TempDir()
	i := Identity{
		machineID: filepath.Join(directory, "machine-id"), bootID: filepath.Join(directory, "boot_id"),
		directory: filepath.Join(directory, "own"),
	}
	require.NoError(t, os.WriteFile(i.bootID, []byte("the kernel's\n"), 0o444))
	t.Cleanup(func() {
		for _, path := range []string{i.machineID, i.bootID, filepath.Join(i.directory, "proc")} {
			require.NoError(t, unix.Unmount(path, unix.MNT_DETACH))
		}
		content, err := os.ReadFile(i.bootID)
		require.NoError(t, err)
		require.Equal(t, "the kernel's\n", string(content), "mounted once, and nothing written to what is below")
	})
	seen := map[string]bool{}
	for range 3 {
		require.NoError(t, i.Renew(""))
		machine, err := os.ReadFile(i.machineID)
		require.NoError(t, err)
		require.Regexp(t, "^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n$", string(machine))
		boot, err := os.ReadFile(i.bootID)
		require.NoError(t, err)
		require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n$", string(boot))
		require.False(t, seen[string(machine)] || seen[string(boot)])
		seen[string(machine)], seen[string(boot)] = true, true
	}
	require.FileExists(t, filepath.Join(i.directory, "proc", "self", "stat"))
}

func TestIdentity_SaysWhatCannotBeCovered(t *testing.T) {
	require.ErrorContains(t, Identity{directory: "/proc/no/such/place"}.Renew(""), "identity of its own")
}
