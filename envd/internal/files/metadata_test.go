package files

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

func attached(path string) map[string]string { return filesystem.Metadata(path) }

func TestUpload_ReplacesAllMetadataOfAFile(t *testing.T) {
	g := newGuest(t)
	entry := entriesOf(t, g.put("file", "nobody", "1", "X-Metadata-Author", "Ada", "x-metadata-STEP", "one two"))[0]
	require.Equal(t, map[string]string{"author": "Ada", "step": "one two"}, entry.Metadata)
	require.Equal(t, entry.Metadata, attached(g.path("file")))
	require.Equal(t, http.StatusOK, g.put("file", "nobody", "2", "X-Metadata-Step", "two").status)
	require.Equal(t, map[string]string{"step": "two"}, attached(g.path("file")))
	require.Equal(t, http.StatusOK, g.put("file", "root", "3").status)
	require.Empty(t, attached(g.path("file")))
}

func TestUpload_AttachesMetadataToEveryFileOfAForm(t *testing.T) {
	g := newGuest(t)
	body, contentType := form(t, formPart{"file", "one", "1"}, formPart{"file", "two", "2"})
	got := g.ask(http.MethodPost, "/files", nil, body, "Content-Type", contentType, "X-Metadata-Set", "both")
	for _, entry := range entriesOf(t, got) {
		require.Equal(t, map[string]string{"set": "both"}, attached(entry.Path))
	}
}

func TestUpload_BoundsMetadata(t *testing.T) {
	long := strings.Repeat("k", maxMetadataKey)
	require.Equal(t, http.StatusOK, newGuest(t).put("file", "", "", "X-Metadata-"+long, "v").status)
	for name, headers := range map[string][]string{
		"key too long":       {"X-Metadata-" + long + "k", "v"},
		"no key":             {"X-Metadata-", "v"},
		"not ASCII":          {"X-Metadata-Name", "naïve"},
		"control characters": {"X-Metadata-Name", "a\tb"},
		"too much in one":    {"X-Metadata-Name", strings.Repeat("v", maxMetadataPerFile)},
		"too much together": {
			"X-Metadata-A", strings.Repeat("v", maxMetadataPerFile/2),
			"X-Metadata-B", strings.Repeat("v", maxMetadataPerFile/2),
		},
	} {
		g := newGuest(t)
		got := g.put("file", "", "x", headers...)
		require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", name, got.body)
		require.NoFileExists(t, g.path("file"), name)
	}
}

func TestMetadataOf_TakesExactlyWhatIsAllowed(t *testing.T) {
	metadata, err := metadataOf(http.Header{"X-Metadata-K": {strings.Repeat("v", maxMetadataPerFile-1)}, "X-Other": {"v"}})
	require.NoError(t, err)
	require.Len(t, metadata, 1)
	metadata, err = metadataOf(http.Header{"X-Metadata-List": {"a", "b"}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"list": "a,b"}, metadata)
}
