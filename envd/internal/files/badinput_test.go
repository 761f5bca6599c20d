package files

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiles_RefusePathsThatNameNoFile(t *testing.T) {
	g := newGuest(t)
	g.write("file", "content", 0o644)
	require.NoError(t, os.Symlink("loop", g.path("loop")))
	for name, path := range map[string]string{
		"NUL":                g.path("a\x00b"),
		"another's home":     "~nobody/file",
		"a directory":        g.directory,
		"the root directory": "/../../..",
		"a slash at the end": g.directory + "/",
		"below a file":       g.path("file/below"),
		"a long path":        "/" + strings.Repeat("x/", 4096),
		"a long name":        g.path(strings.Repeat("x", 256)),
		"a circle of links":  g.path("loop"),
	} {
		require.Equal(t, http.StatusBadRequest, g.get(path, "").status, name)
		require.Equal(t, http.StatusBadRequest, g.put(path, "", "x").status, name)
		got := g.compose(fmt.Sprintf(`{"source_paths":["file"],"destination":%s}`, jsonString(t, path)))
		require.Equal(t, http.StatusBadRequest, got.status, name)
	}
	require.Equal(t, http.StatusNotFound, g.get("missing", "").status)
	require.Equal(t, http.StatusOK, g.get(g.directory+"/x/../file", "").status, "dots that lead somewhere are fine")
	requireNoDraft(t, g.directory)
}

func TestFiles_RefuseUsersThatDoNotExist(t *testing.T) {
	g := newGuest(t)
	path := g.write("file", "content", 0o644)
	for _, name := range []string{"no-such-user", "root\x00", "root:x", "../root", strings.Repeat("u", 10_000)} {
		require.Equal(t, http.StatusBadRequest, g.get(path, name).status, "%.20q", name)
		require.Equal(t, http.StatusBadRequest, g.put(path, name, "x").status, "%.20q", name)
		got := g.compose(fmt.Sprintf(`{"source_paths":["file"],"destination":"new","username":%s}`, jsonString(t, name)))
		require.Equal(t, http.StatusBadRequest, got.status, "%.20q", name)
	}
	g.requireContent(path, "content")
}

// Opening a pipe without a writer, or a terminal, would block a request.
func TestFiles_DoNotWaitForPipesAndDevices(t *testing.T) {
	g := newGuest(t)
	pipe := g.path("pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o666))
	socket, err := new(net.ListenConfig).Listen(t.Context(), "unix", g.path("socket"))
	require.NoError(t, err)
	t.Cleanup(func() { socket.Close() })
	for _, path := range []string{pipe, g.path("socket"), "/dev/zero", "/dev/tty"} {
		require.Equal(t, http.StatusBadRequest, g.get(path, "").status, path)
		require.Equal(t, http.StatusBadRequest, g.put(path, "", "x").status, path)
		got := g.compose(fmt.Sprintf(`{"source_paths":[%q],"destination":"new"}`, path))
		require.Equal(t, http.StatusBadRequest, got.status, path)
	}
	require.NoFileExists(t, g.path("new"))
}

func TestUpload_RefusesBodiesItCannotRead(t *testing.T) {
	g := newGuest(t)
	const octets, boundary = "application/octet-stream", "multipart/form-data; boundary=b"
	zipped := compressed(t, strings.Repeat("content", 1000))
	part := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"file\"\r\n\r\n"
	for name, request := range map[string]struct{ path, contentType, encoding, body string }{
		"no content type":                {"file", "", "", "x"},
		"a malformed content type":       {"file", "a/b/c", "", "x"},
		"another content type":           {"file", "text/plain", "", "x"},
		"no path":                        {"", octets, "", "x"},
		"an encoding we lack":            {"file", octets, "br", "x"},
		"no gzip at all":                 {"file", octets, "gzip", "plain"},
		"gzip cut short":                 {"file", octets, "gzip", zipped[:len(zipped)-5]},
		"gzip with a wrong checksum":     {"file", octets, "gzip", zipped[:len(zipped)-8] + "\x00\x00\x00\x00\x00\x00\x00\x00"},
		"gzip with rubbish behind":       {"file", octets, "gzip", zipped + "rubbish"},
		"a form without boundary":        {"file", "multipart/form-data", "", part + "x\r\n--b--\r\n"},
		"a form without parts":           {"file", boundary, "", "--b--\r\n"},
		"an empty form":                  {"file", boundary, "", ""},
		"a form of another boundary":     {"file", boundary, "", strings.ReplaceAll(part, "--b", "--c") + "x\r\n--c--\r\n"},
		"a form that ends in a part":     {"file", boundary, "", part + "half"},
		"a form that ends in a header":   {"file", boundary, "", part[:30]},
		"a part of another name":         {"file", boundary, "", strings.ReplaceAll(part, `name="file";`, `name="other";`) + "x\r\n--b--\r\n"},
		"a part with no path":            {"", boundary, "", strings.ReplaceAll(part, `; filename="file"`, "") + "x\r\n--b--\r\n"},
		"a part with a malformed header": {"", boundary, "", "--b\r\nno colon\r\n\r\nx\r\n--b--\r\n"},
		"a part whose path holds a NUL":  {"", boundary, "", strings.ReplaceAll(part, `filename="file"`, `filename*=utf-8''a%00b`) + "x\r\n--b--\r\n"},
		"a part with too many headers":   {"", boundary, "", "--b\r\n" + strings.Repeat("X: y\r\n", 20_000)},
	} {
		query := url.Values{}
		if request.path != "" {
			query.Set("path", request.path)
		}
		got := g.ask(http.MethodPost, "/files", query, strings.NewReader(request.body), "Content-Type", request.contentType, "Content-Encoding", request.encoding)
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", name, got.body)
		require.NoFileExists(t, g.path("file"), name)
	}
	requireNoDraft(t, g.directory)
}

func TestUpload_RefusesSeveralFilesForOnePath(t *testing.T) {
	g := newGuest(t)
	body, contentType := form(t, formPart{"file", "one", "1"}, formPart{"file", "two", "2"})
	require.Equal(t, http.StatusBadRequest, g.ask(http.MethodPost, "/files", at("file", ""), body, "Content-Type", contentType).status)
}

// One small file, written again and again, must not fill the agent's memory.
func TestUpload_BoundsTheFilesOfAForm(t *testing.T) {
	g := newGuest(t)
	smallDisk(t, g.path("disk"), 0o777) // of memory, which is faster
	const part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"disk/one\"\r\n\r\n\r\n"
	got := g.ask(http.MethodPost, "/files", nil, strings.NewReader(strings.Repeat(part, maxFormFiles+1)+"--b--\r\n"), "Content-Type", "multipart/form-data; boundary=b")
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, "more than 10000 files")
	g.requireContent(g.path("disk/one"), "")
}

// TestUpload_LeavesNothingOfABrokenConnection breaks it in the middle of a
// file, once it is known to be on its way to the disk.
func TestUpload_LeavesNothingOfABrokenConnection(t *testing.T) {
	g := newGuest(t)
	g.write("kept", "old", 0o644)
	for _, framing := range []string{"Content-Length: 1000000\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\nffff\r\nhalf"} {
		for _, name := range []string{"new", "kept"} {
			address, err := url.Parse(g.url)
			require.NoError(t, err)
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address.Host)
			require.NoError(t, err)
			_, err = fmt.Fprintf(connection, "POST /files?path=%s HTTP/1.1\r\nHost: guest\r\nContent-Type: application/octet-stream\r\n%s", g.path(name), framing)
			require.NoError(t, err)
			t.Cleanup(func() { connection.Close() })
			g.awaitDrafts(1)
			require.NoError(t, connection.Close())
			g.awaitDrafts(0)
		}
	}
	require.NoFileExists(t, g.path("new"))
	g.requireContent(g.path("kept"), "old")
	requireNoDraft(t, g.directory)
}
