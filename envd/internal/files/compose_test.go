package files

import (
	"fmt"
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
	require.NoError(t, os.Symlink("/proc/self/exe", g.path("magic")))
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
		"a source of the agent's":    {`{"source_paths":["magic"],"destination":"new"}`, http.StatusBadRequest},
		"a directory to write to":    {`{"source_paths":["a"],"destination":"directory"}`, http.StatusBadRequest},
		"a source that breaks off":   {`{"source_paths":["a","/proc/self/mem"],"destination":"new"}`, http.StatusInternalServerError},
		"a user that does not exist": {`{"source_paths":["a"],"destination":"new","username":"no-such-user"}`, http.StatusUnauthorized},
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
	require.Equal(t, http.StatusOK, g.compose(`{"source_paths":["log","lines","log"],"destination":"log"}`).status)
	g.requireContent(log, "old newold ")
}

func TestCompose_ActsAsTheUser(t *testing.T) {
	g := newGuest(t)
	user := nobody(t)
	g.write("a", "content", 0o644)
	require.Equal(t, http.StatusOK, g.compose(`{"source_paths":["a","a"],"destination":"deep/new","username":"nobody"}`).status)
	requireOwner(t, g.path("deep"), user.UID, user.GID)
	requireOwner(t, g.path("deep/new"), user.UID, user.GID)
	g.requireContent(g.path("deep/new"), "contentcontent")
	closed := g.write("closed", "root's", 0o644)
	got := g.compose(fmt.Sprintf(`{"source_paths":["a"],"destination":%q,"username":"nobody"}`, closed))
	require.Equal(t, http.StatusUnauthorized, got.status)
	g.requireContent(closed, "root's")
}

func TestCompose_KeepsNoMetadataOfWhatItReplaces(t *testing.T) {
	g := newGuest(t)
	require.Equal(t, http.StatusOK, g.put("a", "", "x", "X-Metadata-Key", "value").status)
	require.Equal(t, http.StatusOK, g.compose(`{"source_paths":["a"],"destination":"a"}`).status)
	require.Empty(t, attached(g.path("a")))
}
