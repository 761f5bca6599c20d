package files

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func compressed(t *testing.T, content string) string {
	t.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := io.WriteString(writer, content)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return buffer.String()
}

func entriesOf(t *testing.T, got answer) []Entry {
	t.Helper()
	require.Equal(t, http.StatusOK, got.status, got.body)
	var entries []Entry
	require.NoError(t, json.Unmarshal([]byte(got.body), &entries))
	return entries
}

func TestUpload_WritesTheBodyItself(t *testing.T) {
	g := newGuest(t)
	content := strings.Repeat("0123456789abcdef", 100_000)
	got := g.put(g.path("a/b/c.bin"), "", content)
	require.Equal(t, []Entry{{Path: g.path("a/b/c.bin"), Name: "c.bin", Type: "file"}}, entriesOf(t, got))
	g.requireContent(g.path("a/b/c.bin"), content)
	info, err := os.Stat(g.path("a/b/c.bin"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(newFileMode), info.Mode())
	requireNoDraft(t, g.directory)
}

func TestUpload_WritesEmptyFilesAndRelativePaths(t *testing.T) {
	g := newGuest(t)
	require.Equal(t, g.path("empty"), entriesOf(t, g.put("empty", "", ""))[0].Path)
	g.requireContent(g.path("empty"), "")
}

func TestUpload_WritesEveryFileOfAForm(t *testing.T) {
	g := newGuest(t)
	body, contentType := form(t, formPart{"file", g.path("deep/one"), "1"}, formPart{"comment", "ignored", "x"}, formPart{"file", "two", "22"})
	got := g.ask(http.MethodPost, "/files", nil, body, "Content-Type", contentType)
	require.Len(t, entriesOf(t, got), 2)
	g.requireContent(g.path("deep/one"), "1")
	g.requireContent(g.path("two"), "22")
	require.NoFileExists(t, g.path("ignored"))
}

func TestUpload_PrefersThePathOfTheRequestToTheParts(t *testing.T) {
	g := newGuest(t)
	body, contentType := form(t, formPart{"file", "/etc/other", "content"})
	got := g.ask(http.MethodPost, "/files", at(g.path("here"), ""), body, "Content-Type", contentType)
	require.Equal(t, g.path("here"), entriesOf(t, got)[0].Path)
	g.requireContent(g.path("here"), "content")
}

func TestUpload_DecompressesGzip(t *testing.T) {
	g := newGuest(t)
	content := strings.Repeat("well ", 10_000)
	require.Equal(t, http.StatusOK, g.put(g.path("plain"), "", compressed(t, content), "Content-Encoding", "gzip").status)
	g.requireContent(g.path("plain"), content)

	body, contentType := form(t, formPart{"file", g.path("part"), content})
	zipped := strings.NewReader(compressed(t, body.String()))
	got := g.ask(http.MethodPost, "/files", nil, zipped, "Content-Type", contentType, "Content-Encoding", "gzip")
	require.Equal(t, http.StatusOK, got.status, got.body)
	g.requireContent(g.path("part"), content)
}

func TestDownload_SendsAFileWhole(t *testing.T) {
	g := newGuest(t)
	g.write("naïve page.html", "<p>", 0o600)
	got := g.get(g.path("naïve page.html"), "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "<p>", got.body)
	require.Equal(t, "3", got.header.Get("Content-Length"))
	require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	require.Equal(t, "attachment; filename*=utf-8''na%C3%AFve%20page.html", got.header.Get("Content-Disposition"),
		"a browser must never show a sandbox's page as ours")
	require.Empty(t, got.header.Get("Content-Encoding"))

	g.write("data.unheard-of", "", 0o600)
	require.Equal(t, "application/octet-stream", g.get("data.unheard-of", "").header.Get("Content-Type"))
}

func TestDownload_SendsParts(t *testing.T) {
	g := newGuest(t)
	path := g.write("digits", "0123456789", 0o600)
	got := g.get(path, "", "Range", "bytes=2-4", "Accept-Encoding", "gzip")
	require.Equal(t, http.StatusPartialContent, got.status)
	require.Equal(t, "234", got.body)
	require.Equal(t, "bytes 2-4/10", got.header.Get("Content-Range"))
	require.Equal(t, "789", g.get(path, "", "Range", "bytes=-3").body)
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, g.get(path, "", "Range", "bytes=10-").status)
}

func TestDownload_CompressesWhereAsked(t *testing.T) {
	g := newGuest(t)
	content := strings.Repeat("well ", 10_000)
	path := g.write("text", content, 0o600)
	got := g.get(path, "", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", got.header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", got.header.Get("Vary"))
	require.Less(t, len(got.body), len(content)/10)
	reader, err := gzip.NewReader(strings.NewReader(got.body))
	require.NoError(t, err)
	plain, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.Equal(t, content, string(plain))
}

func TestDownload_FindsFilesThroughLinksAndTheHome(t *testing.T) {
	g := newGuest(t)
	g.write("real", "content", 0o600)
	require.NoError(t, os.Symlink("real", g.path("link")))
	require.Equal(t, "content", g.get("link", "").body)
	require.Equal(t, http.StatusNotFound, g.get("~/no-such-file-of-root", "").status)
}

func TestCompose_JoinsFilesInOrder(t *testing.T) {
	g := newGuest(t)
	g.write("a", "first ", 0o600)
	g.write("b", "", 0o600)
	g.write("c", "last", 0o600)
	got := g.compose(`{"source_paths":["a","b","c","a"],"destination":"new/all","username":"root"}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var entry Entry
	require.NoError(t, json.Unmarshal([]byte(got.body), &entry))
	require.Equal(t, Entry{Path: g.path("new/all"), Name: "all", Type: "file"}, entry)
	g.requireContent(g.path("new/all"), "first lastfirst ")
}
