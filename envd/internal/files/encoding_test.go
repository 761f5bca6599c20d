package files

import (
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDownload_ChoosesTheEncodingTheClientPrefers(t *testing.T) {
	for accepted, want := range map[string]bool{
		"":                        false,
		"*":                       false,
		"identity":                false,
		"br, deflate":             false,
		"gzip":                    true,
		"GZip , br":               true,
		"x-gzip":                  true,
		"gzip;q=0.001":            true,
		"gzip; q=0.5, identity":   false,
		"identity;q=0.4, gzip":    true,
		"gzip;q=0":                false,
		"gzip;q=0.000":            false,
		"gzip;q=many":             false,
		"gzip;q=NaN":              false,
		"gzip;q=2":                false,
		"identity;q=0, gzip":      true,
		"identity;q=0, *":         true,
		"*;q=0, gzip;q=0.1":       true,
		"*;q=0, identity;q=0.1":   false,
		"gzip;q=0, *":             false,
		"identity;q=0, *;q=0.5":   true,
		"deflate, gzip;q=1.0, br": true,
	} {
		got, err := wantsGzip(http.Header{"Accept-Encoding": {accepted}})
		require.NoError(t, err, accepted)
		require.Equal(t, want, got, accepted)
	}
}

func TestDownload_AnswersNotAcceptableWhereNoEncodingIsLeft(t *testing.T) {
	g := newGuest(t)
	path := g.write("file", "content", 0o644)
	for _, accepted := range []string{
		"identity;q=0", "*;q=0", "identity;q=0, gzip;q=0", "br, identity;q=0", "identity;q=0, gzip;q=0, *", "*;q=0.0, br",
	} {
		got := g.get(path, "", "Accept-Encoding", accepted)
		require.Equal(t, http.StatusNotAcceptable, got.status, accepted)
		require.JSONEq(t, `{"code":406,"message":"neither identity nor gzip is an accepted encoding"}`, got.body)
	}
	got := g.get(path, "", "Accept-Encoding", "identity;q=0", "Accept-Encoding", "gzip")
	require.Equal(t, http.StatusOK, got.status, "lines of one header are one list")
	require.Equal(t, "gzip", got.header.Get("Content-Encoding"))
	got = g.get(path, "", "Accept-Encoding", "identity;q=0, gzip", "Range", "bytes=0-1")
	require.Equal(t, http.StatusOK, got.status, "a part is never compressed, so that the whole is sent")
	require.Equal(t, http.StatusPartialContent, g.get(path, "", "Accept-Encoding", "gzip", "Range", "bytes=0-1").status)
}

func TestDownload_SendsWhatTheKernelWrites(t *testing.T) {
	g := newGuest(t)
	for _, path := range []string{"/proc/version", "/proc/filesystems", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/kallsyms"} {
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		got := g.get(path, "")
		require.Equal(t, http.StatusOK, got.status, path)
		require.Equal(t, sha256.Sum256(want), sha256.Sum256([]byte(got.body)), "%s: %d bytes, sent were %d", path, len(want), len(got.body))
	}
	got := g.get("/proc/version", "", "Range", "bytes=0-4")
	require.Equal(t, http.StatusPartialContent, got.status)
	require.Equal(t, "Linux", got.body)
	got = g.get("/proc/self/mem", "")
	require.Equal(t, http.StatusInternalServerError, got.status)
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Empty(t, got.header.Get("Content-Disposition"))
	require.Contains(t, got.body, "input/output error")
}

func TestDownload_BreaksOffWhatItCannotReadToTheEnd(t *testing.T) {
	g := newGuest(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/files?path=/proc/self/mem", http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Accept-Encoding", "gzip")
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	require.ErrorIs(t, err, io.EOF, "an empty answer would look complete")
}
