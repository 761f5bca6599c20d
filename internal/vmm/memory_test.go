package vmm

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// mapPrivately maps a file into this process, as a VMM does.
func mapPrivately(t *testing.T, path string, size int) []byte {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	memory, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(memory)) })
	return memory
}

func TestMemoryFile_WritesWhatChangedAndNothingElse(t *testing.T) {
	const mebibytes = 8
	base := filepath.Join(t.TempDir(), "base")
	content := bytes.Repeat([]byte{0xAB}, mebibytes<<20)
	require.NoError(t, os.WriteFile(base, content, 0o600))
	memory := mapPrivately(t, base, len(content))

	file, err := IdentifyMemory(base, mebibytes)
	require.NoError(t, err)

	rapid.Check(t, func(t *rapid.T) {
		page := rapid.IntRange(0, len(memory)/pageBytes-1).Draw(t, "page")
		value := rapid.SampledFrom([]byte{0, 1, 0xAB}).Draw(t, "value")
		pages := rapid.IntRange(1, 32).Draw(t, "pages")
		end := min(len(memory), (page+pages)*pageBytes)
		copy(memory[page*pageBytes:end], bytes.Repeat([]byte{value}, end-page*pageBytes))
	})

	target := filepath.Join(t.TempDir(), "target")
	require.NoError(t, os.WriteFile(target, content, 0o600))
	require.NoError(t, file.WriteChanges(t.Context(), os.Getpid(), target))
	written, err := os.ReadFile(target)
	require.NoError(t, err)
	require.True(t, bytes.Equal(memory, written), "the target holds memory as it is now")
}

func TestMemoryFile_LeavesUntouchedPagesToTheCopy(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	require.NoError(t, os.WriteFile(base, make([]byte, 1<<20), 0o600))
	memory := mapPrivately(t, base, 1<<20)
	memory[5*pageBytes] = 7
	_ = memory[9*pageBytes] // reading changes nothing

	file, err := IdentifyMemory(base, 1)
	require.NoError(t, err)
	target := filepath.Join(t.TempDir(), "target")
	marker := bytes.Repeat([]byte{0xEE}, 1<<20)
	require.NoError(t, os.WriteFile(target, marker, 0o600))
	require.NoError(t, file.WriteChanges(t.Context(), os.Getpid(), target))
	written, err := os.ReadFile(target)
	require.NoError(t, err)
	for page := range len(written) / pageBytes {
		want := byte(0xEE)
		if page == 5 {
			want = 7
		}
		require.Equal(t, want, written[page*pageBytes], "page %d", page)
	}
}

func TestMemoryFile_RefusesAProcessThatDoesNotMapIt(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	require.NoError(t, os.WriteFile(base, make([]byte, 1<<20), 0o600))
	file, err := IdentifyMemory(base, 1)
	require.NoError(t, err)
	require.ErrorContains(t, file.WriteChanges(t.Context(), os.Getpid(), base), "maps 0 of the 1048576 bytes")
}

func TestIdentifyMemory_RefusesAFileOfAnotherSize(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	require.NoError(t, os.WriteFile(base, make([]byte, 4096), 0o600))
	_, err := IdentifyMemory(base, 1)
	require.ErrorContains(t, err, "has 4096 bytes, want 1048576")
}

func FuzzParseMapsLine(f *testing.F) {
	f.Add("7f0e6c000000-7f0e8c000000 rw-p 00000000 fe:00 131 /data/memory")
	f.Add("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]")
	f.Add("")
	f.Fuzz(func(_ *testing.T, line string) {
		_, _ = parseMapsLine(line) // must not panic
	})
}
