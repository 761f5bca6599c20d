package files

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const smallDiskBytes = 64 << 10

// smallDisk mounts a file system that is soon full.
func smallDisk(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.Mkdir(path, 0o755))
	options := fmt.Sprintf("size=%d,mode=%o", smallDiskBytes, mode)
	require.NoError(t, syscall.Mount("tmpfs", path, "tmpfs", syscall.MS_NODEV|syscall.MS_NOSUID, options))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(path, syscall.MNT_DETACH)) }) // also after a failure
}

func TestUpload_LeavesAFullDiskAsItWas(t *testing.T) {
	g := newGuest(t)
	smallDisk(t, g.path("disk"), 0o777)
	g.write("disk/kept", "old", 0o644)
	tooLarge := strings.Repeat("x", 2*smallDiskBytes)
	g.write("source", tooLarge, 0o644)
	for _, name := range []string{"disk/new", "disk/kept"} {
		got := g.put(name, "", tooLarge)
		require.Equal(t, http.StatusInsufficientStorage, got.status, got.body)
		got = g.compose(fmt.Sprintf(`{"source_paths":["source"],"destination":%q}`, name))
		require.Equal(t, http.StatusInsufficientStorage, got.status, got.body)
		body, contentType := form(t, formPart{"file", name, tooLarge})
		got = g.ask(http.MethodPost, "/files", nil, body, "Content-Type", contentType)
		require.Equal(t, http.StatusInsufficientStorage, got.status, got.body)
	}
	require.NoFileExists(t, g.path("disk/new"))
	g.requireContent(g.path("disk/kept"), "old")
	requireNoDraft(t, g.directory)
	require.Equal(t, http.StatusOK, g.put("disk/new", "", strings.Repeat("x", smallDiskBytes/2)).status, "the space is given back")
}

func TestUpload_AnswersWhoSendsAllBeforeReadingAnything(t *testing.T) {
	g := newGuest(t)
	smallDisk(t, g.path("disk"), 0o777)
	address, err := url.Parse(g.url)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", address.Host)
	require.NoError(t, err)
	defer conn.Close()
	const size = 16 << 20 // more than the kernel keeps for a server that does not read
	_, err = fmt.Fprintf(conn, "POST /files?path=%s HTTP/1.1\r\nHost: guest\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", url.QueryEscape(g.path("disk/new")), size)
	require.NoError(t, err)
	_, err = io.Copy(conn, strings.NewReader(strings.Repeat("x", size)))
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusInsufficientStorage, response.StatusCode)
}

func TestUpload_LeavesAFileOnAFullDiskAsItWas(t *testing.T) {
	g := newGuest(t)
	smallDisk(t, g.path("disk"), 0o755)
	path := g.write("disk/shared", "old", 0o666)
	got := g.put(path, "nobody", strings.Repeat("x", 2*smallDiskBytes), "X-Metadata-New", "yes")
	require.Equal(t, http.StatusInsufficientStorage, got.status, got.body)
	g.requireContent(path, "old")
	require.Empty(t, attached(path))
	require.Equal(t, http.StatusOK, g.put(path, "nobody", strings.Repeat("x", smallDiskBytes/2)).status, "the space is given back")
	require.Equal(t, http.StatusOK, g.put(path, "nobody", "").status)
	g.requireContent(path, "")
}

func TestUpload_SaysThatADiskIsReadOnly(t *testing.T) {
	g := newGuest(t)
	smallDisk(t, g.path("disk"), 0o777)
	g.write("disk/kept", "old", 0o644)
	require.NoError(t, syscall.Mount("", g.path("disk"), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	for _, name := range []string{"disk/new", "disk/deep/new", "disk/kept"} {
		got := g.put(name, "", "x")
		require.Equal(t, http.StatusBadRequest, got.status, got.body)
		require.Contains(t, got.body, "read-only file system")
	}
}
