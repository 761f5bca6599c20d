package firecracker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

func TestJailID_IsOneThatTheJailerTakes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "vm-sb-0aB-c", jailID("sb_0aB.c"))
	require.Len(t, jailID(string(make([]byte, 200))), 64)
}

func TestFindJail_GoesOnWithOneOfAMachineRenamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files to other users")
	}
	parent := t.TempDir()
	const user = 1_000_007
	spec := vmm.Spec{Name: "before", User: user, RunDir: filepath.Join(parent, "[before]", "run")}
	made, err := makeJail(spec, Binary)
	require.NoError(t, err)
	t.Cleanup(made.close)
	require.NoError(t, os.Rename(filepath.Join(parent, "[before]"), filepath.Join(parent, "[after]")))
	require.NoError(t, os.WriteFile(made.path("/sign"), nil, 0o600), "the one that made it still reaches it")

	found, err := findJail(vmm.Spec{Name: "after", RunDir: filepath.Join(parent, "[after]", "run")})
	require.NoError(t, err)
	t.Cleanup(found.close)
	require.Equal(t, user, found.user)
	require.FileExists(t, found.path("/sign"))
	require.NoError(t, found.remove("/sign", "/not-there"))
	require.NoFileExists(t, made.path("/sign"))
	_, err = findJail(spec)
	require.Error(t, err)
}

func TestJail_LendsADiskUntilItsMachineHasEnded(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files to other users")
	}
	const user = 1_000_007
	directory := t.TempDir()
	disk, moved := filepath.Join(directory, "disk"), filepath.Join(directory, "moved")
	require.NoError(t, os.WriteFile(disk, nil, 0o600))
	j, err := makeJail(vmm.Spec{Name: "vm", User: user, RunDir: t.TempDir()}, Binary)
	require.NoError(t, err)
	t.Cleanup(j.close)
	require.NoError(t, j.lendDisk(disk))
	require.EqualValues(t, user, ownerOf(t, disk))
	require.NoError(t, os.Rename(disk, moved))
	require.NoError(t, j.takeBackDisk())
	require.Zero(t, ownerOf(t, moved))
	require.NoError(t, j.takeBackDisk(), "it is idempotent")
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	var stat unix.Stat_t
	require.NoError(t, unix.Stat(path, &stat))
	return stat.Uid
}

func TestLocate_TellsAPlaceWithinItsFileSystem(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	whole, err := locate(directory)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(directory, "a b"), 0o700))
	part, err := locate(filepath.Join(directory, "a b"))
	require.NoError(t, err)
	require.Equal(t, whole.device, part.device)
	require.True(t, isBelow(part.root, whole.root))
	require.False(t, isBelow(whole.root, part.root))
	require.False(t, isBelow(whole.root+"-else", whole.root))
	require.True(t, isBelow("/anything", "/"))
	_, err = locate(filepath.Join(directory, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestJail_FollowsNoLinkThatFirecrackerLeft(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files to other users")
	}
	spec := vmm.Spec{Name: "vm", RunDir: t.TempDir()}
	j, err := makeJail(spec, Binary)
	require.NoError(t, err)
	t.Cleanup(j.close)
	secret, target := filepath.Join(t.TempDir(), "secret"), filepath.Join(t.TempDir(), "target")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	for _, name := range []string{jailDevicesTarget, jailSocket, jailMemoryTarget} {
		require.NoError(t, os.Symlink(secret, j.path(name)))
	}
	require.Error(t, j.copyOut(jailDevicesTarget, target))
	require.NoFileExists(t, target)
	_, err = j.openSocket()
	require.Error(t, err)
	require.Error(t, j.lend(target, jailMemoryTarget))

	require.NoError(t, j.remove(jailDevicesTarget, jailSocket, jailMemoryTarget))
	require.FileExists(t, secret)
	for _, link := range []string{"/" + jailDeviceNodes, "/" + jailDeviceNodes + "/net"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(j.path(link)), 0o700))
		require.NoError(t, os.Symlink(filepath.Dir(secret), j.path(link)))
		require.NoError(t, j.removeTree(jailDeviceNodes))
		require.FileExists(t, secret)
		require.NoFileExists(t, j.path("/"+jailDeviceNodes))
	}
	require.NoError(t, j.removeTree(jailDeviceNodes), "one that is not there is fine")
	require.NoError(t, unix.Mkfifo(j.path(jailDevicesTarget), 0o600))
	require.Error(t, j.copyOut(jailDevicesTarget, target), "a pipe that nobody writes to")
}
