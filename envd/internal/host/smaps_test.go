package host

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const sample = `00400000-00800000 r-xp 00000000 08:01 1234                               /usr/local/bin/a program
Size:               4096 kB
Rss:                1000 kB
AnonHugePages:         0 kB
VmFlags: rd ex mr mw me
c000000000-c004000000 rw-p 00000000 00:00 0                              [anon: Go: heap]
Rss:                8192 kB
AnonHugePages:      2048 kB
7ffd0000-7ffe0000 rw-p 00000000 00:00 0                                  [stack]
`

func TestParseMappings_ReadsWhatTheKernelWrites(t *testing.T) {
	regions, err := parseMappings(strings.NewReader(sample))
	require.NoError(t, err)
	require.Equal(t, []mapping{
		{Start: 0x400000, End: 0x800000, Permissions: "r-xp", Path: "/usr/local/bin/a program", Resident: 1000 << 10},
		{Start: 0xc000000000, End: 0xc004000000, Permissions: "rw-p", Path: "[anon: Go: heap]", Resident: 8 << 20, Huge: 2 << 20},
		{Start: 0x7ffd0000, End: 0x7ffe0000, Permissions: "rw-p", Path: "[stack]"},
	}, regions)
	require.False(t, regions[0].isAnonymous())
	require.True(t, regions[1].isAnonymous())
	require.False(t, regions[2].isAnonymous())
}

func TestParseMappings_ReadsThisProcess(t *testing.T) {
	file, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer file.Close()
	regions, err := parseMappings(file)
	require.NoError(t, err)
	var resident uint64
	for _, region := range regions {
		resident += region.Resident
	}
	require.Greater(t, resident, uint64(1<<20))
}

func TestParseMappings_RefusesWhatIsNoMap(t *testing.T) {
	for _, text := range []string{
		"Rss: 1 kB\n", "nonsense\n", "zz-10 rw-p 0 0:0 0\n", "20-10 rw-p 0 0:0 0\n",
		"10-20 rw-p 0 0:0 0\nRss: many kB\n", "10-20 rw-p 0 0:0 0\nRss: 99999999999999999999 kB\n",
	} {
		_, err := parseMappings(strings.NewReader(text))
		require.ErrorIs(t, err, errMalformedMap, text)
	}
}
