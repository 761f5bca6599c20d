package template

import (
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// startLeftBoot starts what looks like the QEMU that boots a template there.
func startLeftBoot(t *testing.T, directory string) *exec.Cmd {
	t.Helper()
	command := exec.Command("/bin/sh")
	command.Args = []string{qemu.Binary, "-c", "while :; do sleep 1; done", "driver=file,filename=" + filepath.Join(directory, "boot-1", "disk")}
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command
}

func TestBase_EndsBootsThatWereLeftAndNoOthers(t *testing.T) {
	t.Parallel()
	driver, err := qemu.New(t.Context(), qemu.TCG, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	b := Base{Driver: driver, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	elsewhere := t.TempDir()
	left, other := startLeftBoot(t, b.Dir), startLeftBoot(t, elsewhere)
	require.NoError(t, b.endBoots(t.Context()))
	require.ErrorContains(t, left.Wait(), "signal: killed")
	found, err := driver.Processes(elsewhere)
	require.NoError(t, err)
	require.Len(t, found, 1, "a boot of another installation runs on")
	require.Equal(t, other.Process.Pid, found[0].ID)
}
