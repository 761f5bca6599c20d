package archives

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t *testing.T, directory string, maxBytes int64) *Store {
	t.Helper()
	s, err := Open(directory, maxBytes, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s
}

func hash(letter string) string { return strings.Repeat(letter, 64) }

func TestPut_StoresWhatWasAnnouncedAndFindsItForTheTeamOnly(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s := open(t, directory, 100)
	require.NoError(t, s.Put("team", hash("a"), 7, strings.NewReader("content")))
	require.NoError(t, s.Put("team", hash("a"), 3, strings.NewReader("new")), "it replaces an earlier one")
	size, err := open(t, directory, 100).Find("team", hash("a"))
	require.NoError(t, err)
	require.Equal(t, int64(3), size)
	file, err := s.Open("team", hash("a"))
	require.NoError(t, err)
	content, err := io.ReadAll(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Equal(t, "new", string(content))
	_, err = s.Find("other", hash("a"))
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.Open("team", hash("b"))
	require.ErrorIs(t, err, ErrNotFound)
}

func TestPut_LeavesNothingOfABadUpload(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s := open(t, directory, 100)
	broken := errors.New("broken")
	require.ErrorIs(t, s.Put("team", hash("a"), 8, strings.NewReader("content")), ErrInvalid)
	require.ErrorIs(t, s.Put("team", hash("a"), 6, strings.NewReader("content")), ErrInvalid)
	require.ErrorIs(t, s.Put("team", hash("a"), 7, iotest.ErrReader(broken)), broken)
	require.ErrorIs(t, s.Put("team", hash("a"), 101, strings.NewReader("content")), ErrTooLarge)
	require.ErrorIs(t, s.Put("team", hash("a"), -1, strings.NewReader("content")), ErrTooLarge)
	for _, name := range []string{"", "..", "a/b", "../x", ".hidden"} {
		require.ErrorIs(t, s.Put(name, hash("a"), 7, strings.NewReader("content")), ErrInvalid, name)
	}
	for _, name := range []string{"", hash("A"), hash("g"), "../" + hash("a")[3:]} {
		require.ErrorIs(t, s.Put("team", name, 7, strings.NewReader("content")), ErrInvalid, name)
	}
	files, err := filepath.Glob(filepath.Join(directory, "*", "*"))
	require.NoError(t, err)
	require.Empty(t, files)
	hidden, err := filepath.Glob(filepath.Join(directory, "*", ".*"))
	require.NoError(t, err)
	require.Empty(t, hidden)
}

func TestOpen_RemovesUnfinishedUploads(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "team"), 0o700))
	left := filepath.Join(directory, "team", unfinishedPrefix+"1")
	require.NoError(t, os.WriteFile(left, []byte("half"), 0o600))
	open(t, directory, 100)
	require.NoFileExists(t, left)
}

func TestPut_RemovesTheLeastRecentlyUsedButNoneThatIsRead(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s := open(t, directory, 25)
	put := func(letter string, age time.Duration) {
		require.NoError(t, s.Put("team", hash(letter), 10, bytes.NewReader(make([]byte, 10))))
		used := time.Now().Add(-age)
		_ = os.Chtimes(filepath.Join(directory, "team", hash(letter)), used, used)
	}
	put("a", 3*time.Hour)
	put("b", 2*time.Hour)
	reading, err := s.Open("team", hash("a"))
	require.NoError(t, err)
	put("c", time.Hour)
	_, err = s.Find("team", hash("b"))
	require.ErrorIs(t, err, ErrNotFound, "the oldest is being read")
	_, err = s.Find("team", hash("a"))
	require.NoError(t, err, "which makes it the newest")
	require.NoError(t, reading.Close())
	put("d", 0)
	_, err = s.Find("team", hash("c"))
	require.ErrorIs(t, err, ErrNotFound)
}
