package admission

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
)

func TestFits_SaysWhatIsShortAndByHowMuch(t *testing.T) {
	t.Parallel()
	bounds := Bounds{
		CPURatio: 1, MemoryRatio: 1, DiskRatio: 1, MemoryReserveBytes: 512 << 20, DiskReserveBytes: 1 << 30,
		PressurePercent: 20, Directories: []string{"/"},
	}
	enough := room{cpus: 2, promisedMiB: 1024, memoryMiB: 1024, diskMiB: 2048, promisedDiskMiB: 4096, pressurePercent: 20, scarce: true}
	wanted := Size{VCPUCount: 2, MemoryMiB: 1024, DiskMiB: 4096}
	require.NoError(t, bounds.fits(wanted, enough))
	for name, test := range map[string]struct {
		lacking func(*room)
		message string
	}{
		"CPUs":     {func(r *room) { r.cpus = 1 }, "CPUs that may be promised: 1 CPUs are left, 2 CPUs are needed, 1 too few"},
		"promises": {func(r *room) { r.promisedMiB = 1000 }, "memory that may be promised: 1000 MiB are left, 1024 MiB are needed, 24 too few"},
		"memory":   {func(r *room) { r.memoryMiB = 1023 }, "free memory: 511 MiB are left, 512 MiB are needed, 1 too few"},
		"disk":     {func(r *room) { r.diskMiB = 2000 }, "free disk space: 976 MiB are left, 1024 MiB are needed, 48 too few"},
		"disks":    {func(r *room) { r.promisedDiskMiB = 4000 }, "disk space that may be promised: 4000 MiB are left, 4096 MiB are needed, 96 too few"},
		"pressure": {func(r *room) { r.pressurePercent = 33 }, "memory pressure: for 33 % of the last ten seconds something on this host waited for memory, 13 too much"},
	} {
		have := enough
		test.lacking(&have)
		err := bounds.fits(wanted, have)
		require.ErrorIs(t, err, ErrNoRoom, name)
		require.EqualError(t, err, test.message)
	}
	resumed, full := wanted, enough
	resumed.DiskMiB, full.promisedDiskMiB = 0, 0
	require.NoError(t, bounds.fits(resumed, full), "one that is resumed has its disk already")
	waiting := enough
	waiting.scarce, waiting.pressurePercent = false, 100
	require.NoError(t, bounds.fits(wanted, waiting), "a group that waits at its own limit keeps no sandbox out")
	require.NoError(t, Bounds{}.fits(wanted, room{cpus: -9, promisedMiB: -9, memoryMiB: 1024, pressurePercent: 100, scarce: true}), "zero does not bound")
}

// hostWith is a host whose running sandboxes were promised this much.
func hostWith(bounds Bounds, promised Size) *Control {
	return New(bounds, &cgroup.Root{}, func() Size { return promised })
}

func TestAdmit_ReservesForStartsUnderWay(t *testing.T) {
	t.Parallel()
	total, _, err := HostMemory()
	require.NoError(t, err)
	half := int(total >> 21)
	c := hostWith(Bounds{MemoryRatio: 1}, Size{})
	// Nothing of it is taken: what counts is what was promised.
	wanted := Size{VCPUCount: 1, MemoryMiB: half}
	first, err := c.Admit(wanted)
	require.NoError(t, err)
	second, err := c.Admit(wanted)
	require.NoError(t, err)
	_, err = c.Admit(wanted)
	var short *ShortageError
	require.ErrorAs(t, err, &short)
	require.Equal(t, Size{2, 2 * half, 0}, c.starting())
	first()
	first() // twice is once
	third, err := c.Admit(wanted)
	require.NoError(t, err)
	second()
	third()
	require.Empty(t, c.reserved)
}

func TestAdmit_CountsPromisesAndWhatIsFree(t *testing.T) {
	t.Parallel()
	promised := Size{3, 64, 24}
	for resource, bounds := range map[string]Bounds{
		promisedCPUs: {CPURatio: 1e-9},
		freeMemory:   {MemoryReserveBytes: math.MaxInt64},
		freeDisk:     {DiskReserveBytes: math.MaxInt64, Directories: []string{t.TempDir()}},
		promisedDisk: {DiskRatio: 1e-9, Directories: []string{t.TempDir()}},
	} {
		c := hostWith(bounds, promised)
		_, err := c.Admit(Size{1, 64, 1})
		var short *ShortageError
		require.ErrorAs(t, err, &short, resource)
		require.Equal(t, resource, short.Resource)
		require.Less(t, short.Left, short.Needed)
	}
	c := hostWith(Bounds{Directories: []string{"/nowhere/at/all"}}, promised)
	_, err := c.Admit(Size{1, 64, 0})
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrNoRoom, "a failed measurement is the host's fault")
}

func TestParsePressure_ReadsTheShareOfTimeThatSomethingWaited(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 12.34, parsePressure("some avg10=12.34 avg60=1.00 avg300=0.00 total=5\nfull avg10=99.00 avg60=0 avg300=0 total=0\n"), 1e-9)
	for _, malformed := range []string{"", "some", "some avg10=", "some avg10=x avg60=1"} {
		require.Zero(t, parsePressure(malformed), malformed)
	}
}
