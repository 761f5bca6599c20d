package layer

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// world is a store on a file system with reflinks, and a disk that changes.
type world struct {
	t *testing.T
	*Store
	directory string
	disk      string
}

const megabyte = 1 << 20

func newWorld(t *testing.T, maxBytes int64) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a loop device")
	}
	storage, err := disk.OpenStorage(t.Context(), t.TempDir(), func(string) {})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, storage.Close()) })
	w := &world{t: t, directory: filepath.Join(storage.Dir, "layers"), disk: filepath.Join(storage.Dir, "disk")}
	require.NoError(t, disk.CreateSparse(w.disk, 16*megabyte))
	w.open(maxBytes)
	return w
}

func (w *world) open(maxBytes int64) {
	w.t.Helper()
	var err error
	w.Store, err = Open(w.directory, maxBytes, slog.New(slog.DiscardHandler))
	require.NoError(w.t, err)
}

// write changes a megabyte of the disk.
func (w *world) write(at int64) {
	w.t.Helper()
	file, err := os.OpenFile(w.disk, os.O_WRONLY, 0)
	require.NoError(w.t, err)
	defer file.Close()
	content := make([]byte, megabyte)
	for i := range content {
		content[i] = byte(rand.IntN(256))
	}
	_, err = file.WriteAt(content, at*megabyte)
	require.NoError(w.t, err)
}

// add adds a layer of the disk, and lets it go.
func (w *world) add(key plan.Key, parent string) (Entry, int64) {
	w.t.Helper()
	entry, own, release, err := w.Add(w.t.Context(), Added{
		TeamID: "team", Key: key, ParentID: parent, Disk: snapshot.Source{DiskPath: w.disk}, DiskMiB: 16, Context: plan.Context{User: string(key)},
	})
	require.NoError(w.t, err)
	release()
	return entry, own
}

func (w *world) has(team string, key plan.Key) bool {
	_, found := w.Find(team, key)
	return found
}

func TestAdd_KeepsADiskAndFindsItAgain(t *testing.T) {
	w := newWorld(t, 1<<30)
	w.write(0)
	first, own := w.add("first", "")
	require.Equal(t, int64(megabyte), own)
	w.write(1)
	second, own := w.add("second", first.LayerID)
	require.Equal(t, int64(megabyte), own, "what it shares is not its own")
	require.Equal(t, int64(2*megabyte), w.Size())
	require.NoError(t, w.AddEntry("team", "same", Entry{LayerID: second.LayerID, Context: plan.Context{User: "other"}}))
	w.write(2)

	w.open(1 << 30)
	found, ok := w.Find("team", "second")
	require.True(t, ok)
	require.Equal(t, second, found)
	require.True(t, w.has("team", "same"))
	require.False(t, w.has("other", "second"), "layers are a team's own")
	_, _, err := w.Use("other", second.LayerID)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, int64(2*megabyte), w.Size())
	used, release, err := w.Use("team", second.LayerID)
	require.NoError(t, err)
	defer release()
	content, err := os.ReadFile(used.DiskPath())
	require.NoError(t, err)
	require.Equal(t, make([]byte, megabyte), content[2*megabyte:3*megabyte], "a layer is not written to")
}

func TestOpen_RemovesWhatACrashLeft(t *testing.T) {
	w := newWorld(t, 1<<30)
	kept, _ := w.add("kept", "")
	unindexed, _ := w.add("unindexed", "")
	require.NoError(t, os.Remove(w.entryPath("team", "unindexed")))
	lost, _ := w.add("lost", "")
	require.NoError(t, os.RemoveAll(w.diskDirectory("team", lost.LayerID)))
	torn, _ := w.add("torn", "")
	require.NoError(t, os.Remove(filepath.Join(w.diskDirectory("team", torn.LayerID), "manifest.json")))
	require.NoError(t, os.WriteFile(w.entryPath("team", "broken"), []byte("{"), 0o600))
	require.NoError(t, os.Mkdir(w.diskDirectory("team", "half.new"), 0o700))

	w.open(1 << 30)
	require.True(t, w.has("team", "kept"))
	for _, key := range []plan.Key{"unindexed", "lost", "torn", "broken"} {
		require.False(t, w.has("team", key), key)
	}
	entries, err := os.ReadDir(filepath.Join(w.directory, "team", disksDirectory))
	require.NoError(t, err)
	require.Len(t, entries, 2, "%s and its facts are left, not %s", kept.LayerID, unindexed.LayerID)
	index, err := os.ReadDir(filepath.Join(w.directory, "team", indexDirectory))
	require.NoError(t, err)
	require.Len(t, index, 1)
}

func TestEvict_RemovesTheLeastRecentlyUsedAndNoneInUse(t *testing.T) {
	w := newWorld(t, 3*megabyte)
	w.write(0)
	first, _ := w.add("first", "")
	w.write(1)
	second, _ := w.add("second", first.LayerID)
	w.write(2)
	third, _ := w.add("third", second.LayerID)
	w.Touch("team", first.LayerID, second.LayerID, third.LayerID)
	_, release, err := w.Use("team", third.LayerID)
	require.NoError(t, err)
	w.write(3)
	fourth, _ := w.add("fourth", third.LayerID)
	require.True(t, w.has("team", "third"), "it is in use")
	require.False(t, w.has("team", "second"), "what depends on a layer goes first")
	require.True(t, w.has("team", "first"))
	release()
	w.Touch("team", first.LayerID, fourth.LayerID)
	w.write(4)
	w.add("fifth", fourth.LayerID)
	require.False(t, w.has("team", "third"))
	require.True(t, w.has("team", "fourth"))
}

func TestAdd_ReplacesAnEarlierResult(t *testing.T) {
	w := newWorld(t, 1<<30)
	first, _ := w.add("key", "")
	second, _ := w.add("key", "")
	found, ok := w.Find("team", "key")
	require.True(t, ok)
	require.Equal(t, second.LayerID, found.LayerID)
	require.NotEqual(t, first.LayerID, second.LayerID)
	w.open(1 << 30)
	_, _, err := w.Use("team", first.LayerID)
	require.ErrorIs(t, err, ErrNotFound, "the next start removes it")
}
