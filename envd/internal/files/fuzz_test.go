package files

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// FuzzUploadForm holds that no body harms the server or leaves half a file.
func FuzzUploadForm(f *testing.F) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"name\"\r\n\r\n"
	f.Add("multipart/form-data; boundary=b", "", []byte(head+"content\r\n--b--\r\n"))
	f.Add("multipart/form-data; boundary=b", "", []byte(head+"cut"))
	f.Add("multipart/form-data; boundary=b", "gzip", []byte("\x1f\x8b\x08\x00"))
	f.Add("application/octet-stream", "", []byte("content"))
	g := newGuest(f)
	f.Fuzz(func(t *testing.T, contentType, encoding string, body []byte) {
		require.NoError(t, os.RemoveAll(g.path("target")))
		request := httptest.NewRequest(http.MethodPost, "/files?username=nobody&path="+url.QueryEscape(g.path("target")), bytes.NewReader(body))
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("Content-Encoding", encoding)
		recorder := httptest.NewRecorder()
		g.handler.Upload(recorder, request)
		switch recorder.Code {
		case http.StatusOK:
			require.FileExists(t, g.path("target"))
		case http.StatusBadRequest: // of a form, a part that was whole stays
			if strings.HasPrefix(contentType, "application/") {
				require.NoFileExists(t, g.path("target"))
			}
		default:
			require.Fail(t, "an unexpected answer", "%d %s", recorder.Code, recorder.Body)
		}
		requireNoDraft(t, g.directory)
	})
}

// FuzzMetadata holds that what is accepted can be kept, and read back.
func FuzzMetadata(f *testing.F) {
	f.Add("X-Metadata-Key", "value", "X-Metadata-Other", "b")
	f.Add("X-Metadata-", "", "X-Metadata-\xff", "\x00")
	f.Add("X-Other", "value", "X-Metadata-A=b", " ")
	g := newGuest(f)
	path := g.write("file", "", 0o644)
	f.Fuzz(func(t *testing.T, name, value, otherName, otherValue string) {
		header := http.Header{}
		header.Add(name, value)
		header.Add(otherName, otherValue)
		metadata, err := metadataOf(header)
		if err != nil {
			var mistake *requestError
			require.ErrorAs(t, err, &mistake)
			return
		}
		total := 0
		for key, kept := range metadata {
			require.LessOrEqual(t, len(key), maxMetadataKey)
			require.NotEmpty(t, key)
			require.True(t, printable(key) && printable(kept))
			require.Equal(t, strings.ToLower(key), key)
			total += len(key) + len(kept)
		}
		require.LessOrEqual(t, total, maxMetadataPerFile)
		if total < maxMetadataPerFile/2 { // ext4 keeps a little less than the limit
			require.NoError(t, filesystem.SetMetadata(path, metadata))
			if len(metadata) > 0 {
				require.Equal(t, metadata, attached(path))
			}
		}
	})
}
