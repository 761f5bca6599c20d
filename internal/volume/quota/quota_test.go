package quota

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

const limit = 100 * block

func open(t testing.TB) (*Quota, string, int) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: opens files by their handles")
	}
	directory := t.TempDir()
	opened, err := os.Open(directory)
	require.NoError(t, err)
	t.Cleanup(func() { opened.Close() })
	return New(directory, limit), directory, int(opened.Fd())
}

func (q *Quota) requireHolds(t require.TestingT, bytes, files int64) {
	state, limited, err := q.State()
	require.NoError(t, err)
	require.True(t, limited)
	require.Equal(t, State{MaxBytes: limit, Bytes: bytes, MaxFiles: fewestFiles, Files: files}, state)
}

// write writes to a file, making it first where it is not there.
func write(q *Quota, directory int, name string, offset, length int) error {
	file, err := unix.Openat(directory, name, unix.O_WRONLY, 0)
	if errors.Is(err, unix.ENOENT) {
		err = q.Make(0, func() (err error) {
			file, err = unix.Openat(directory, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
			return err
		})
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(file) }()
	return q.Write(file, int64(offset+length), func() error {
		_, err := unix.Pwrite(file, make([]byte, length), int64(offset))
		return err
	})
}

func TestQuota_RefusesWhatIsBeyondTheLimit(t *testing.T) {
	t.Parallel()
	q, _, directory := open(t)
	require.NoError(t, write(q, directory, "most", 0, 99*block))
	require.NoError(t, write(q, directory, "rest", 0, 1))
	require.ErrorIs(t, write(q, directory, "more", 0, 1), unix.EDQUOT)
	require.NoError(t, write(q, directory, "rest", block-1, 1), "within a block that is taken")
	require.ErrorIs(t, write(q, directory, "rest", block, 1), unix.EDQUOT)
	q.requireHolds(t, 100*block, 3)
	require.NoError(t, q.Unlink(directory, "most", 0))
	require.NoError(t, write(q, directory, "more", 0, 1))
	q.requireHolds(t, 2*block, 2)
}

func TestQuota_RefusesMoreEntriesThanItHas(t *testing.T) {
	t.Parallel()
	q, path, directory := open(t)
	for range fewestFiles {
		file, err := os.CreateTemp(path, "")
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	link := func() error { return unix.Symlinkat("target", directory, "one-more") }
	require.ErrorIs(t, q.Make(6, link), unix.EDQUOT)
	require.NoFileExists(t, filepath.Join(path, "one-more"))
}

func TestQuota_LimitsWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	q, path, directory := open(t)
	q.SetLimit(0)
	require.NoError(t, write(q, directory, "large", 0, 2*limit))
	_, limited, err := q.State()
	require.NoError(t, err)
	require.False(t, limited)
	q.SetLimit(limit)
	q.requireHolds(t, 2*limit, 1)
	require.ErrorIs(t, write(q, directory, "more", 0, 1), unix.EDQUOT)
	require.NoError(t, os.Truncate(filepath.Join(path, "large"), 2*limit), "what is there stays")
}

func TestQuota_KeepsWritersBesideEachOtherToTheLimit(t *testing.T) {
	t.Parallel()
	q, _, directory := open(t)
	var writing sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "c"} {
		writing.Go(func() {
			for number := range 60 {
				_ = write(q, directory, name, number*block, block)
			}
		})
	}
	writing.Wait()
	state, _, err := q.State()
	require.NoError(t, err)
	require.LessOrEqual(t, state.Bytes, int64(limit))
	counted, err := count(q.directory)
	require.NoError(t, err)
	require.Equal(t, total{state.Bytes, state.Files}, counted)
}

// TestQuota_KnowsWhatACountWouldFind changes a volume in all ways there are.
func TestQuota_KnowsWhatACountWouldFind(t *testing.T) {
	t.Parallel()
	q, path, directory := open(t)
	q.requireHolds(t, 0, 0)
	outside := t.TempDir()
	names := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	lengths := rapid.IntRange(0, 40*block)
	rapid.Check(t, func(t *rapid.T) {
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				_ = write(q, directory, names.Draw(t, "name"), lengths.Draw(t, "offset"), lengths.Draw(t, "length"))
			},
			"truncate": func(t *rapid.T) {
				file, err := os.OpenFile(filepath.Join(path, names.Draw(t, "name")), os.O_WRONLY, 0)
				if err != nil {
					return
				}
				defer file.Close()
				length := int64(lengths.Draw(t, "length"))
				_ = q.Resize(int(file.Fd()), length, func() error { return file.Truncate(length) })
			},
			"unlink": func(t *rapid.T) { _ = q.Unlink(directory, names.Draw(t, "name"), 0) },
			"rmdir":  func(t *rapid.T) { _ = q.Unlink(directory, names.Draw(t, "name"), unix.AT_REMOVEDIR) },
			"mkdir": func(t *rapid.T) {
				_ = q.Make(0, func() error { return unix.Mkdirat(directory, names.Draw(t, "name"), 0o700) })
			},
			"link": func(t *rapid.T) {
				_ = q.Make(0, func() error {
					return unix.Linkat(directory, names.Draw(t, "name"), directory, names.Draw(t, "to"), 0)
				})
			},
			"symlink": func(t *rapid.T) {
				_ = q.Make(5, func() error { return unix.Symlinkat("where", directory, names.Draw(t, "name")) })
			},
			"rename": func(t *rapid.T) {
				_ = q.Rename(directory, names.Draw(t, "name"), directory, names.Draw(t, "to"))
			},
			"place": func(t *rapid.T) {
				length := int64(lengths.Draw(t, "length"))
				file := filepath.Join(outside, "file")
				require.NoError(t, os.WriteFile(file, make([]byte, length), 0o600))
				if q.Reserve(length+block) == nil && q.Place(file, directory, names.Draw(t, "name"), length+block) != nil {
					q.Give(length + block)
				}
			},
			"": func(t *rapid.T) {
				counted, err := count(path)
				require.NoError(t, err)
				q.requireHolds(t, counted.bytes, counted.files)
				require.LessOrEqual(t, counted.bytes, int64(limit))
			},
		})
	})
}

// The room of a length near the greatest is more than an int64 holds, and must not
// come out as less than nothing.
func TestQuota_RefusesTheGreatestLengths(t *testing.T) {
	t.Parallel()
	q, _, directory := open(t)
	require.NoError(t, write(q, directory, "file", 0, 1))
	file, err := unix.Openat(directory, "file", unix.O_WRONLY, 0)
	require.NoError(t, err)
	defer func() { _ = unix.Close(file) }()
	grew := func() error { t.Error("a change beyond the limit was made"); return nil }
	for _, length := range []int64{math.MaxInt64, math.MaxInt64 - block + 1, math.MaxInt64 - block, math.MaxInt64 / 2} {
		require.ErrorIs(t, q.Resize(file, length, grew), unix.EDQUOT, "%d", length)
		require.ErrorIs(t, q.Write(file, length, grew), unix.EDQUOT, "%d", length)
		require.ErrorIs(t, q.Make(length, grew), unix.EDQUOT, "%d", length)
		require.Positive(t, Charge(length))
	}
	q.requireHolds(t, block, 1)
}

// What is there when a volume is given a limit can be more than an int64 holds.
func TestQuota_CountsMoreThanThereCanBe(t *testing.T) {
	t.Parallel()
	directory, err := os.MkdirTemp("/dev/shm", "quota") //nolint:usetesting // there a file may have any length
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), nil, 0o600))
		require.NoError(t, os.Truncate(filepath.Join(directory, name), math.MaxInt64))
	}
	opened, err := os.Open(directory)
	require.NoError(t, err)
	defer opened.Close()
	q := New(directory, limit)
	refused := func() {
		t.Helper()
		require.ErrorIs(t, write(q, int(opened.Fd()), "d", 0, 1), unix.EDQUOT)
	}
	for _, name := range []string{"a", "b", "c"} {
		refused()
		require.NoError(t, q.Unlink(int(opened.Fd()), name, 0))
	}
	require.NoError(t, write(q, int(opened.Fd()), "d", 0, 1))
}
