package files

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompose_RefusesWhatItCannotDo(t *testing.T) {
	g := newGuest(t)
	g.write("a", "content", 0o644)
	require.NoError(t, os.Mkdir(g.path("directory"), 0o755))
	many := strings.Repeat(`"a",`, maxComposeSources) + `"a"`
	for name, test := range map[string]struct {
		body   string
		status int
	}{
		"no body":                    {``, http.StatusBadRequest},
		"no JSON":                    {`source_paths=a`, http.StatusBadRequest},
		"another type":               {`{"source_paths":"a","destination":"new"}`, http.StatusBadRequest},
		"no sources":                 {`{"destination":"new"}`, http.StatusBadRequest},
		"an empty list":              {`{"source_paths":[],"destination":"new"}`, http.StatusBadRequest},
		"too many sources":           {`{"source_paths":[` + many + `],"destination":"new"}`, http.StatusBadRequest},
		"too large a body":           {`{"source_paths":["` + strings.Repeat("a", maxComposeBytes) + `"],"destination":"new"}`, http.StatusBadRequest},
		"no destination":             {`{"source_paths":["a"]}`, http.StatusBadRequest},
		"a source that is missing":   {`{"source_paths":["a","missing"],"destination":"new"}`, http.StatusNotFound},
		"a directory as source":      {`{"source_paths":["a","directory"],"destination":"new"}`, http.StatusBadRequest},
		"an empty source":            {`{"source_paths":[""],"destination":"new"}`, http.StatusBadRequest},
		"a source with a NUL":        {`{"source_paths":["a\u0000"],"destination":"new"}`, http.StatusBadRequest},
		"a directory to write to":    {`{"source_paths":["a"],"destination":"directory"}`, http.StatusBadRequest},
		"a source that breaks off":   {`{"source_paths":["a","/proc/self/mem"],"destination":"new"}`, http.StatusInternalServerError},
		"a user that does not exist": {`{"source_paths":["a"],"destination":"new","username":"no-such-user"}`, http.StatusBadRequest},
	} {
		got := g.compose(test.body)
		require.Equal(t, test.status, got.status, "%s: %s", name, got.body)
		require.NoFileExists(t, g.path("new"), name)
	}
	requireNoDraft(t, g.directory)
}

func TestCompose_MayWriteToOneOfItsSources(t *testing.T) {
	g := newGuest(t)
	log := g.write("log", "old ", 0o644)
	g.write("lines", "new", 0o644)
	require.NoError(t, os.Symlink("log", g.path("link")))
	require.Equal(t, http.StatusOK, g.compose(`{"source_paths":["log","lines","log"],"destination":"link"}`).status)
	g.requireContent(log, "old newold ")
	g.requireContent(g.path("link"), "old newold ")
	require.NoFileExists(t, g.path("lines"))
}

func TestCompose_RemovesWhatItJoined(t *testing.T) {
	g := newGuest(t)
	user := nobody(t)
	g.write("a", "content", 0o600)
	g.write("b", " and more", 0o600)
	require.NoError(t, os.Symlink("b", g.path("link")))
	got := g.compose(`{"source_paths":["a","a","link"],"destination":"deep/new","username":"nobody"}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	requireOwner(t, g.path("deep"), user.UID, user.GID)
	requireOwner(t, g.path("deep/new"), user.UID, user.GID)
	g.requireContent(g.path("deep/new"), "contentcontent and more")
	for _, gone := range []string{"a", "link"} {
		require.NoFileExists(t, g.path(gone))
	}
	g.requireContent(g.path("b"), " and more")
}

func TestCompose_KeepsItsSourcesWhenItFails(t *testing.T) {
	g := newGuest(t)
	source := g.write("a", "content", 0o644)
	require.Equal(t, http.StatusNotFound, g.compose(`{"source_paths":["a","missing"],"destination":"new"}`).status)
	smallDisk(t, g.path("disk"), 0o755)
	large := g.write("large", strings.Repeat("x", 2*smallDiskBytes), 0o644)
	require.Equal(t, http.StatusInsufficientStorage, g.compose(`{"source_paths":["a","large"],"destination":"disk/new"}`).status)
	require.FileExists(t, source)
	require.FileExists(t, large)
}

func TestCompose_KeepsNoMetadataOfWhatItReplaces(t *testing.T) {
	g := newGuest(t)
	require.Equal(t, http.StatusOK, g.put("a", "", "x", "X-Metadata-Key", "value").status)
	require.Equal(t, http.StatusOK, g.compose(`{"source_paths":["a"],"destination":"a"}`).status)
	require.Empty(t, attached(g.path("a")))
}
