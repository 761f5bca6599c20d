package files

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDownload_DescribesAFileWithoutItsContent(t *testing.T) {
	g := newGuest(t)
	for name, content := range map[string]string{"small.json": "{}", "large.json": strings.Repeat("x", 2*maxKernelSize)} {
		path := g.write(name, content, 0o600)
		head, get := g.ask(http.MethodHead, "/files", at(path, ""), http.NoBody), g.get(path, "")
		require.Equal(t, http.StatusOK, head.status)
		require.Empty(t, head.body)
		for _, header := range []string{"Content-Length", "Content-Type", "Content-Disposition", "Accept-Ranges", "Last-Modified", "Vary"} {
			require.NotEmpty(t, get.header.Get(header), header)
			require.Equal(t, get.header.Get(header), head.header.Get(header), header)
		}
		head = g.ask(http.MethodHead, "/files", at(path, ""), http.NoBody, "Accept-Encoding", "gzip")
		require.Equal(t, http.StatusOK, head.status)
		require.Equal(t, "gzip", head.header.Get("Content-Encoding"))
		require.Empty(t, head.header.Get("Content-Length"), "nobody compresses a file to tell how long it would be")
	}
	require.Equal(t, http.StatusNotFound, g.ask(http.MethodHead, "/files", at("missing", ""), http.NoBody).status)
}

func TestDownload_SendsTheRangesThatAFileHas(t *testing.T) {
	g := newGuest(t)
	for _, filling := range []int{0, maxKernelSize} { // small files are sent another way
		content := "0123456789" + strings.Repeat("x", filling)
		path := g.write("digits", content, 0o600)
		for asked, want := range map[string]string{
			"bytes=0-0": "0", "bytes=3-": content[3:], "bytes=-1": content[len(content)-1:], "bytes=-99999": content, "bytes=4-99999": content[4:],
		} {
			got := g.get(path, "", "Range", asked)
			require.Equal(t, http.StatusPartialContent, got.status, asked)
			require.Equal(t, want, got.body, asked)
		}
		for _, asked := range []string{"bytes=99999-", "bytes=5-2", "bytes=a-b", "lines=1-2", "bytes=-"} {
			got := g.get(path, "", "Range", asked)
			require.Equal(t, http.StatusRequestedRangeNotSatisfiable, got.status, asked)
		}
		got := g.get(path, "", "Range", "bytes=1-2,4-5")
		require.Equal(t, http.StatusPartialContent, got.status)
		require.Contains(t, got.header.Get("Content-Type"), "multipart/byteranges")
		require.Contains(t, got.body, "\r\n\r\n12\r\n")
		require.Contains(t, got.body, "\r\n\r\n45\r\n")
		got = g.get(path, "", "Range", "bytes=0-0", "If-Range", `"another version"`)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, content, got.body)
	}
}
