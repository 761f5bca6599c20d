package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What would change this machine is tried on files and file systems of the
// test's own; the clock and the rest are seen to in real guests.
func TestMachine_DoesWhatItsPartsDo(t *testing.T) {
	directory := t.TempDir()
	m := Machine{
		root:         mountImage(t),
		certificates: Certificates{stores: []string{filepath.Join(directory, "all.crt")}, own: filepath.Join(directory, "own.crt")},
		names:        Names{path: filepath.Join(directory, "hosts")},
		volumes:      Volumes{program: "/bin/true", table: "/proc/self/mountinfo"},
	}
	require.NoError(t, m.InstallCertificates(authority(t, "one")))
	require.FileExists(t, filepath.Join(directory, "all.crt"))
	require.NoError(t, m.SetHostService(netip.MustParseAddr("192.0.2.1")))
	require.FileExists(t, filepath.Join(directory, "hosts"))
	require.NoError(t, m.MountVolumes(t.Context(), []Volume{{Target: "127.0.0.1:/x", Path: filepath.Join(directory, "x")}}))
	require.NoError(t, m.FreezeFilesystem())
	require.NoError(t, m.ThawFilesystem())
	collapsed, err := m.Collapse()
	require.NoError(t, err)
	require.Equal(t, collapsed.Chunks, collapsed.Collapsed+collapsed.AlreadyHuge+collapsed.Skipped)
	require.Error(t, m.SetClock(time.Unix(-1, 0)), "the kernel knows no time before 1970")
}

// That the numbers differ is seen to in real guests: what a kernel would have
// drawn without the seed cannot be seen.
func TestReseed_GivesTheKernelEntropy(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: adds to the kernel's entropy")
	}
	require.NoError(t, Reseed(Seed{1, 2, 3}, "life"))
	require.NoError(t, Reseed(Seed{}, ""), "a template has no life yet")
}

func TestReseed_FailsWhereTheKernelTakesNone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives up the right to add entropy")
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is thrown away
		const keep, nobody = ^uintptr(0), 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, nobody, keep); errno != 0 {
			failed <- errno
			return
		}
		failed <- Reseed(Seed{}, "life")
	}()
	require.ErrorIs(t, <-failed, unix.EPERM)
}

func TestReplaceFile_LeavesNothingHalfDone(t *testing.T) {
	directory := t.TempDir()
	target := filepath.Join(directory, "target")
	require.NoError(t, os.Mkdir(target, 0o755))
	require.Error(t, replaceFile(target, []byte("x")), "a directory is in its place")
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Error(t, replaceFile("/proc/no/such/place", nil))
	unreadable := Certificates{stores: []string{directory}, own: filepath.Join(directory, "own")}
	require.Error(t, unreadable.Install([]byte("x")))
	require.Error(t, Certificates{stores: []string{target}, own: directory}.Install([]byte("x")))
	require.Error(t, Names{path: directory}.SetHostService(netip.MustParseAddr("192.0.2.1")))
}
