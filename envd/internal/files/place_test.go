package files

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Containers mount single files: what others have mounted cannot be replaced.
func TestUpload_WritesAFileThatIsMountedByItself(t *testing.T) {
	g := newGuest(t)
	mounted, below := g.write("mounted", "a longer content than the next", 0o644), g.write("below", "", 0o644)
	require.NoError(t, syscall.Mount(mounted, below, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(below, syscall.MNT_DETACH)) })
	got := g.put(below, "", "next", "X-Metadata-Key", "value")
	require.Equal(t, http.StatusOK, got.status, got.body)
	g.requireContent(mounted, "next")
	require.Equal(t, map[string]string{"key": "value"}, attached(mounted))
	requireNoDraft(t, g.directory)
}

// In the kernel's directories nothing can be made, only written.
func TestUpload_WritesTheKernelsSettings(t *testing.T) {
	g := newGuest(t)
	const setting = "/proc/self/coredump_filter"
	before, err := os.ReadFile(setting)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.WriteFile(setting, []byte("0x"+string(before)), 0o644)) })
	got := g.put(setting, "", "0x7")
	require.Equal(t, http.StatusOK, got.status, got.body)
	g.requireContent(setting, "00000007\n")
	require.Equal(t, http.StatusNotFound, g.put("/proc/self/no-such-setting", "", "1").status)
	g.requireContent(setting, "00000007\n")
}

func TestUpload_RefusesLinksThatCannotLeadToAFile(t *testing.T) {
	g := newGuest(t)
	for link, target := range map[string]string{
		"directory": "missing", "slash": "nothing/", "dot": "nothing/.", "dots": "nothing/..", "dots-of-nothing": "nothing/../nothing/..",
	} {
		require.NoError(t, os.Symlink(target, g.path(link)))
	}
	for _, path := range []string{"directory/file", "slash", "dot", "dots", "dots-of-nothing"} {
		got := g.put(path, "", "x")
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", path, got.body)
	}
	require.NoDirExists(t, g.path("nothing"))
}

func TestUpload_LeavesMetadataOutWhereTheDiskKeepsNone(t *testing.T) {
	g := newGuest(t)
	disk := g.path("disk")
	require.NoError(t, os.Mkdir(disk, 0o755))
	require.NoError(t, syscall.Mount("ramfs", disk, "ramfs", syscall.MS_NODEV|syscall.MS_NOSUID, "mode=777"))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	require.Equal(t, http.StatusOK, g.put("disk/file", "nobody", "content").status)
	for _, name := range []string{"disk/file", "disk/new"} {
		got := g.put(name, "nobody", "other", "X-Metadata-Key", "value")
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Contains(t, got.body, "attach metadata: operation not supported", "what was asked for is not left out in silence")
	}
	g.requireContent(g.path("disk/file"), "content")
	require.NoFileExists(t, g.path("disk/new"))
	requireNoDraft(t, g.directory)
}

// A file can be larger than its disk, and has no space for what it hides.
func TestUpload_LeavesAFileWithHolesOnAFullDisk(t *testing.T) {
	g := newGuest(t)
	smallDisk(t, g.path("disk"), 0o755)
	path := g.write("disk/shared", "old", 0o666)
	require.NoError(t, os.Truncate(path, 4*smallDiskBytes))
	got := g.put(path, "nobody", strings.Repeat("x", 2*smallDiskBytes))
	require.Equal(t, http.StatusInsufficientStorage, got.status, got.body)
	g.requireContent(path, "old"+strings.Repeat("\x00", 4*smallDiskBytes-len("old")))
}

// What the kernel tells of a new file is what clients of E2B's wait for.
func TestUpload_IsAnnouncedAsCreateChmodAndWrite(t *testing.T) {
	g := newGuest(t)
	g.write("old", "old", 0o444)
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Close(watch)) })
	_, err = unix.InotifyAddWatch(watch, g.directory, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MODIFY|unix.IN_ATTRIB|unix.IN_CLOSE_WRITE)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, g.put("new", "nobody", "content").status)
	require.Equal(t, []uint32{unix.IN_MOVED_TO, unix.IN_ATTRIB, unix.IN_MODIFY, unix.IN_CLOSE_WRITE}, told(t, watch, "new"))
	require.Equal(t, http.StatusOK, g.put("old", "nobody", "content").status)
	require.Equal(t, []uint32{unix.IN_MODIFY, unix.IN_CLOSE_WRITE}, told(t, watch, "old"))
}

// told reads what happened to a file, repetitions left out.
func told(t *testing.T, watch int, name string) []uint32 {
	t.Helper()
	buffer := make([]byte, 64<<10)
	n, err := unix.Read(watch, buffer)
	require.NoError(t, err)
	var masks []uint32
	for at := 0; at < n; {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&buffer[at]))
		at += unix.SizeofInotifyEvent
		of := strings.TrimRight(string(buffer[at:at+int(event.Len)]), "\x00")
		at += int(event.Len)
		if of == name && (len(masks) == 0 || masks[len(masks)-1] != event.Mask) {
			masks = append(masks, event.Mask)
		}
	}
	return masks
}
