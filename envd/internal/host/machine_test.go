package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What would change this machine is tried on files and file systems of the
// test's own; the clock and the rest are seen to in real guests.
func TestMachine_DoesWhatItsPartsDo(t *testing.T) {
	directory := t.TempDir()
	m := Machine{
		root:         mountImage(t),
		certificates: Certificates{trusted: filepath.Join(directory, "all.crt"), own: filepath.Join(directory, "own.crt")},
		names:        Names{path: filepath.Join(directory, "hosts")},
		volumes:      Volumes{program: "/bin/true", table: "/proc/self/mountinfo", modules: directory},
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

func TestReseed_TakesTheGeneratorsNumbers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: adds to the kernel's entropy")
	}
	require.NoError(t, reseedFrom("/dev/urandom"))
	require.ErrorContains(t, reseedFrom("/dev/null"), "read hardware generator")
	require.ErrorIs(t, reseedFrom(filepath.Join(t.TempDir(), "none")), os.ErrNotExist)
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
	unreadable := Certificates{trusted: directory, own: filepath.Join(directory, "own")}
	require.Error(t, unreadable.Install([]byte("x")))
	require.Error(t, Certificates{trusted: target, own: directory}.Install([]byte("x")))
	require.Error(t, Names{path: directory}.SetHostService(netip.MustParseAddr("192.0.2.1")))
}
