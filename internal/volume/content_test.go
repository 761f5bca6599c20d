package volume

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const (
	testID = "v0123456789abcdefghi"
	// hidden is in a file that no volume has.
	hidden = "a file of the host"
)

// content is a volume on the real disk and what is outside of it.
type content struct {
	*Store
	inside, outside string
}

func open(t *testing.T) content {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("files of other owners need root")
	}
	directory := t.TempDir()
	store, err := OpenStore(filepath.Join(directory, "volumes"), 0)
	require.NoError(t, err)
	require.NoError(t, store.Create(testID, 0))
	inside, _, err := store.Content(testID)
	require.NoError(t, err)
	outside := filepath.Join(directory, "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte(hidden), 0o644))
	return content{store, inside, outside}
}

// ask sends a request; more is the rest of the query.
func (c content) ask(method, what, path, more string, body io.Reader) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, "/volumes/"+testID+"/"+what+"?path="+url.QueryEscape(path)+more, body)
	recorder := httptest.NewRecorder()
	c.ServeHTTP(recorder, request)
	return recorder
}

func (c content) describe(t *testing.T, path string) entry {
	t.Helper()
	got := c.ask(http.MethodGet, "path", path, "", nil)
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	var e entry
	require.NoError(t, json.Unmarshal(got.Body.Bytes(), &e))
	return e
}

func (c content) put(path, more, body string) *httptest.ResponseRecorder {
	return c.ask(http.MethodPut, "file", path, more, strings.NewReader(body))
}

func (c content) requireNothingIncoming(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(filepath.Dir(c.inside), incomingDirectory))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestFile_IsWrittenAsAWholeWithOwnerAndMode(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.Equal(t, http.StatusNotFound, c.put("/a/b", "", "x").Code)
	require.Equal(t, http.StatusCreated, c.put("/a/b", "&force=true&uid=1000&gid=1001&mode=416", "first").Code)
	e := c.describe(t, "a/b")
	require.Equal(t, []any{"b", "file", "/a/b", int64(5), uint32(0o640), uint32(1000), uint32(1001)}, []any{e.Name, e.Type, e.Path, e.Size, e.Mode, e.UID, e.GID})
	require.Equal(t, http.StatusCreated, c.put("/a/b", "", "second").Code)
	again := c.describe(t, "/a/b")
	require.Equal(t, []uint32{e.Mode, e.UID, e.GID}, []uint32{again.Mode, again.UID, again.GID}, "they are kept")
	require.Equal(t, "second", c.ask(http.MethodGet, "file", "/a/b", "", nil).Body.String())

	broken := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	require.NotEqual(t, http.StatusCreated, c.ask(http.MethodPut, "file", "/a/b", "", broken).Code)
	require.Equal(t, "second", c.ask(http.MethodGet, "file", "/a/b", "", nil).Body.String())
	c.requireNothingIncoming(t)
	require.Equal(t, http.StatusBadRequest, c.put("/a", "", "x").Code)
	require.Equal(t, http.StatusBadRequest, c.put("/", "", "x").Code)
	require.Equal(t, http.StatusNotFound, c.put("/a/b/c", "", "x").Code)
}

func TestPath_IsChangedAndRemoved(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.Equal(t, http.StatusCreated, c.put("/f", "", "x").Code)
	got := c.ask(http.MethodPatch, "path", "/f", "", strings.NewReader(`{"uid":5,"mode":3565}`)) // 06755
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	e := c.describe(t, "/f")
	require.Equal(t, []uint32{5, 0, 0o755}, []uint32{e.UID, e.GID, e.Mode}, "without setuid")
	info, err := os.Stat(filepath.Join(c.inside, "f"))
	require.NoError(t, err)
	require.Zero(t, info.Mode()&(os.ModeSetuid|os.ModeSetgid))
	for _, wrong := range []string{`{"uid":-1}`, `{"uid":4294967295}`, `{"mode":65535}`, `[]`, `{`, ``, strings.Repeat(" ", maxBodyBytes+1)} {
		require.Equal(t, http.StatusBadRequest, c.ask(http.MethodPatch, "path", "/f", "", strings.NewReader(wrong)).Code, "%.20s", wrong)
	}
	require.Equal(t, http.StatusNoContent, c.ask(http.MethodDelete, "path", "/f", "", nil).Code)
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPatch} {
		require.Equal(t, http.StatusNotFound, c.ask(method, "path", "/f", "", strings.NewReader("{}")).Code)
	}
	require.Equal(t, http.StatusBadRequest, c.ask(http.MethodDelete, "path", "/", "", nil).Code)
}

func TestDirectory_IsMadeAndListed(t *testing.T) {
	t.Parallel()
	c := open(t)
	mkdir := func(path, more string) int { return c.ask(http.MethodPost, "dir", path, more, nil).Code }
	require.Equal(t, http.StatusNotFound, mkdir("/a/b/c", ""))
	require.Equal(t, http.StatusCreated, mkdir("/a/b/c", "&force=true&mode=448&uid=7"))
	require.Equal(t, http.StatusConflict, mkdir("/a", ""))
	require.Equal(t, http.StatusCreated, mkdir("/a", "&force=true"))
	require.Equal(t, uint32(0o700), c.describe(t, "/a/b/c").Mode)
	require.Equal(t, http.StatusCreated, c.put("/a/f", "", "").Code)
	list := func(path, more string) (int, []string) {
		got := c.ask(http.MethodGet, "dir", path, more, nil)
		var entries []entry
		_ = json.Unmarshal(got.Body.Bytes(), &entries)
		paths := []string{}
		for _, e := range entries {
			paths = append(paths, e.Path)
		}
		return got.Code, paths
	}
	for _, each := range []struct {
		path, more string
		status     int
		want       []string
	}{
		{"/", "", 200, []string{"/a"}},
		{"/", "&depth=2", 200, []string{"/a", "/a/b", "/a/f"}},
		{"/", "&depth=4294967295", 200, []string{"/a", "/a/b", "/a/b/c", "/a/f"}},
		{"/a/b/c", "", 200, []string{}},
		{"/", "&depth=0", 400, []string{}},
		{"/", "&depth=x", 400, []string{}},
		{"/a/f", "", 400, []string{}},
		{"/none", "", 404, []string{}},
	} {
		status, paths := list(each.path, each.more)
		require.Equal(t, each.status, status, each.path+each.more)
		require.ElementsMatch(t, each.want, paths, each.path+each.more)
	}
}

func TestContent_IsNotLedOutOfTheVolume(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.NoError(t, os.Symlink(c.outside, filepath.Join(c.inside, "out")))
	require.NoError(t, os.Symlink("../../../outside", filepath.Join(c.inside, "relative")))
	require.NoError(t, os.Symlink("out", filepath.Join(c.inside, "twice")))
	require.NoError(t, os.Symlink("loop", filepath.Join(c.inside, "loop")))
	require.NoError(t, os.Symlink(filepath.Join(c.outside, "secret"), filepath.Join(c.inside, "file")))
	require.NoError(t, os.Symlink("../key", filepath.Join(c.inside, "key")))
	for _, path := range []string{
		"/out/secret", "/relative/secret", "/twice/secret", "/file", "/key", "/loop", "../outside/secret", "/../../outside/secret",
		"/a/../../../outside/secret", c.outside + "/secret", "/./../key", "..", "/\xff", "/a\x00b", "", strings.Repeat("/a", 5000),
		strings.Repeat("a", 300),
	} {
		for _, what := range []string{"file", "dir"} {
			got := c.ask(http.MethodGet, what, path, "", nil)
			require.NotContains(t, got.Body.String(), hidden, "%.40q", path)
			if got.Code == http.StatusOK { // what is above the volume is the volume
				require.Equal(t, "..", path)
			} else {
				require.Less(t, got.Code, 500, "%.40q: %s", path, got.Body)
			}
		}
	}
	for _, path := range []string{"/out/new", "/relative/new", "/twice/new"} {
		require.Equal(t, http.StatusBadRequest, c.put(path, "&force=true", "x").Code, path)
		require.Equal(t, http.StatusBadRequest, c.ask(http.MethodPost, "dir", path, "&force=true", nil).Code, path)
		require.GreaterOrEqual(t, c.ask(http.MethodDelete, "path", strings.Replace(path, "new", "secret", 1), "", nil).Code, 400)
	}
	e := c.describe(t, "/out")
	require.Equal(t, []string{"symlink", c.outside}, []string{e.Type, e.Target})
	require.Equal(t, http.StatusCreated, c.put("/file", "", "mine").Code, "a link is replaced, not followed")
	require.Equal(t, http.StatusOK, c.ask(http.MethodPatch, "path", "/out", "", strings.NewReader(`{"uid":9,"mode":0}`)).Code)
	require.Equal(t, http.StatusNoContent, c.ask(http.MethodDelete, "path", "/out", "", nil).Code)
	secret, err := os.ReadFile(filepath.Join(c.outside, "secret"))
	require.NoError(t, err)
	require.Equal(t, hidden, string(secret))
	var stat unix.Stat_t
	require.NoError(t, unix.Stat(c.outside, &stat))
	require.Equal(t, []uint32{0, 0o755}, []uint32{stat.Uid, stat.Mode & 0o7777})
}

// A directory of the path is swapped for a link as fast as can be.
func TestContent_IsNotLedOutByAChangeMeanwhile(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.NoError(t, os.Mkdir(filepath.Join(c.inside, "d"), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(c.inside, "d", "secret"), []byte("mine"), 0o666))
	require.NoError(t, os.Symlink(c.outside, filepath.Join(c.inside, "l")))
	stop, swapped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(swapped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(c.inside, "d"), unix.AT_FDCWD, filepath.Join(c.inside, "l"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-swapped }()
	for i := range 300 {
		require.NotEqual(t, hidden, c.ask(http.MethodGet, "file", "/d/secret", "", nil).Body.String())
		c.put("/d/new"+strconv.Itoa(i), "", "x")
		c.ask(http.MethodDelete, "path", "/d/secret/x", "", nil)
		c.ask(http.MethodPost, "dir", "/d/sub", "&force=true", nil)
	}
	left, err := os.ReadDir(c.outside)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// A guest's pipe must not keep a request waiting.
func TestFile_ThatIsNoneIsNotOpened(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.NoError(t, unix.Mkfifo(filepath.Join(c.inside, "pipe"), 0o666))
	require.Equal(t, http.StatusBadRequest, c.ask(http.MethodGet, "file", "/pipe", "", nil).Code)
	require.Equal(t, "unknown", c.describe(t, "/pipe").Type)
	require.Equal(t, http.StatusBadRequest, c.ask(http.MethodGet, "file", "/", "", nil).Code)
}

func TestFile_IsRefusedWhereThereIsNoRoom(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.reserve = 1 << 60
	require.Equal(t, http.StatusInsufficientStorage, c.put("/f", "", "x").Code)
	body := struct{ io.Reader }{bytes.NewReader(make([]byte, roomEvery+1))} // of unknown size
	require.Equal(t, http.StatusInsufficientStorage, c.ask(http.MethodPut, "file", "/f", "", body).Code)
	require.Equal(t, http.StatusInsufficientStorage, c.ask(http.MethodPost, "dir", "/d", "", nil).Code)
	c.requireNothingIncoming(t)
}

func TestStore_ForgetsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	c := open(t)
	require.NoError(t, c.Create(testID, 0), "again")
	_, key, err := c.Content(testID)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(c.inside), incomingDirectory, "half"), nil, 0o600))
	for _, name := range []string{deletedPrefix + "x", newPrefix + "y"} {
		require.NoError(t, os.MkdirAll(filepath.Join(c.directory, name, contentDirectory), 0o700))
	}
	again, err := OpenStore(c.directory, 0)
	require.NoError(t, err)
	c.requireNothingIncoming(t)
	_, same, err := again.Content(testID)
	require.NoError(t, err)
	require.Equal(t, key, same)
	require.NoError(t, again.Delete(testID))
	require.ErrorIs(t, again.Delete(testID), ErrNotFound)
	require.ErrorIs(t, again.Delete("../"+testID), ErrInvalid)
	require.ErrorIs(t, again.Create("..aaaaaaaa", 0), ErrInvalid)
	left, err := os.ReadDir(c.directory)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestContent_HasNoOtherRoutes(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, target := range []string{"/volumes/" + testID, "/volumes/" + testID + "/", "/volumes/" + testID + "/key", "/volumes/v0000000000000000000/dir?path=/", "/volumes/../dir?path=/", "/volumes/.new-x/dir?path=/"} {
		recorder := httptest.NewRecorder()
		c.ServeHTTP(recorder, &http.Request{Method: http.MethodGet, URL: mustParse(t, target), Body: http.NoBody})
		require.Equal(t, http.StatusNotFound, recorder.Code, target)
	}
	require.Equal(t, http.StatusMethodNotAllowed, c.ask(http.MethodPost, "file", "/", "", nil).Code)
}

func mustParse(t *testing.T, target string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(target)
	require.NoError(t, err)
	return parsed
}

func TestServeHTTP_HoldsAVolumeToItsLimit(t *testing.T) {
	t.Parallel()
	const block = 4096
	c := open(t)
	require.NoError(t, c.Create(testID, 10*block))
	require.Equal(t, http.StatusCreated, c.put("/a", "", strings.Repeat("x", 8*block)).Code)
	refused := c.put("/b", "", strings.Repeat("x", 3*block))
	require.Equal(t, http.StatusInsufficientStorage, refused.Code)
	require.Contains(t, refused.Body.String(), "size limit")
	unannounced := c.ask(http.MethodPut, "file", "/b", "", io.MultiReader(strings.NewReader(strings.Repeat("x", 3*block))))
	require.Equal(t, http.StatusInsufficientStorage, unannounced.Code)
	require.NoFileExists(t, filepath.Join(c.inside, "b"))
	c.requireNothingIncoming(t)
	require.Equal(t, http.StatusCreated, c.put("/b", "", strings.Repeat("x", 2*block)).Code, "what was refused took nothing")
	require.Equal(t, http.StatusInsufficientStorage, c.put("/b", "", "x").Code, "it is there beside the one that it replaces")

	again, err := OpenStore(filepath.Dir(filepath.Dir(c.inside)), 0)
	require.NoError(t, err)
	c.Store = again
	require.Equal(t, http.StatusInsufficientStorage, c.put("/c", "", "x").Code, "known after a restart")
	require.Equal(t, http.StatusNoContent, c.ask(http.MethodDelete, "path", "/a", "", nil).Code)
	require.Equal(t, http.StatusCreated, c.put("/deep/er/c", "&force=true", strings.Repeat("x", 8*block)).Code)
	require.Equal(t, http.StatusNoContent, c.ask(http.MethodDelete, "path", "/deep", "", nil).Code)
	held, err := c.Quota(testID)
	require.NoError(t, err)
	state, limited, err := held.State()
	require.NoError(t, err)
	require.True(t, limited)
	require.EqualValues(t, 2*block, state.Bytes)
	require.EqualValues(t, 1, state.Files)
}
