package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSettings_WriteOnlyWhatIsBounded(t *testing.T) {
	require.Empty(t, Limits{}.settings())
	require.Equal(t, []setting{
		{"cpu", "cpu.max", "150000 100000"},
		{"cpu", "cpu.weight", "10000"},
		{"memory", "memory.high", "1000"},
		{"memory", "memory.max", "2000"},
		{"memory", "memory.swap.max", "2000"},
		{"memory", "memory.oom.group", "1"},
		{"pids", "pids.max", "64"},
		{"io", "io.max", "8:0 rbps=100 wiops=7"},
		{"io", "io.weight", "8:0 5"},
	}, Limits{
		CPUs: 1.5, CPUWeight: 20_000, MemoryHighBytes: 1000, MemoryMaxBytes: 2000, Tasks: 64,
		IO: IOLimits{Device: "8:0", ReadBytesPerSecond: 100, WriteRequestsPerSecond: 7, Weight: 5},
	}.settings())
	require.Empty(t, Limits{IO: IOLimits{ReadBytesPerSecond: 100, Weight: 5}}.settings(), "no device is known")
}

func TestLimits_ThrottleABusyLoop(t *testing.T) {
	root := openRoot(t)
	needs(t, root, "cpu")
	const share = 0.2
	group := create(t, root, "busy", Limits{CPUs: share, CPUWeight: 100})
	start(t, group, spin)
	require.Eventually(t, func() bool { return usage(t, group).CPU > 0 }, patience, time.Millisecond)
	began, before := time.Now(), usage(t, group).CPU
	require.Eventually(t, func() bool { return time.Since(began) > 2*time.Second }, patience, 10*time.Millisecond)
	took, elapsed := usage(t, group).CPU-before, time.Since(began)
	require.Less(t, took.Seconds()/elapsed.Seconds(), share*1.5)
	require.Positive(t, valueOf([]byte(read(t, group, "cpu.stat")), "nr_throttled "))
}

func TestLimits_AMemoryHogDiesAloneAndItIsKnownWhy(t *testing.T) {
	root := openRoot(t)
	needs(t, root, "memory")
	const most = 32 << 20
	limits := Limits{MemoryHighBytes: most, MemoryMaxBytes: most}
	group, neighbour := create(t, root, "hog", limits), create(t, root, "neighbour", limits)
	other := start(t, neighbour, spin)
	// The shell's own memory grows; the sleep beside it dies with it.
	hog := start(t, group, `sleep 300 & x=0123456789abcdef; while :; do x=$x$x; done`)
	require.ErrorContains(t, hog.Wait(), "killed")
	require.True(t, group.OutOfMemory())
	require.Eventually(t, func() bool { return read(t, group, "cgroup.procs") == "" }, patience, time.Millisecond, "the group dies as a whole")
	require.LessOrEqual(t, usage(t, group).MemoryPeakBytes, uint64(most))

	if _, err := os.Stat(filepath.Join(neighbour.Path(), swapLimit)); err == nil {
		require.Equal(t, fmt.Sprint(most), strings.TrimSpace(read(t, neighbour, swapLimit)))
	}
	require.False(t, neighbour.OutOfMemory())
	requireAlive(t, other)
	require.NotEmpty(t, read(t, neighbour, "cgroup.procs"))
}

func TestLimits_AForkBombIsBounded(t *testing.T) {
	root := openRoot(t)
	needs(t, root, "pids")
	const most = 16
	group := create(t, root, "bomb", Limits{Tasks: most})
	start(t, group, `exec 2>/dev/null; bomb() { bomb | bomb & }; while :; do bomb; done`)
	require.Eventually(t, func() bool {
		return valueOf([]byte(read(t, group, "pids.events")), "max ") > 0
	}, patience, time.Millisecond)
	require.LessOrEqual(t, len(strings.Fields(read(t, group, "cgroup.procs"))), most)
}

func TestLimits_SlowWritesDown(t *testing.T) {
	root := openRoot(t)
	needs(t, root, "io")
	directory, err := os.Getwd() // a temporary directory may be in memory
	require.NoError(t, err)
	device, err := DeviceOf(directory)
	if err != nil {
		t.Skip(err)
	}
	const rate, amount = 1 << 20, 3 << 20
	group := create(t, root, "writer", Limits{IO: IOLimits{Device: device, WriteBytesPerSecond: rate, ReadRequestsPerSecond: 1000}})
	require.NoError(t, root.Check(Limits{IO: IOLimits{Device: device, WriteRequestsPerSecond: 1000}}))
	require.Error(t, root.Check(Limits{IO: IOLimits{Device: "9999:1", WriteRequestsPerSecond: 1000}}), "no such device")
	path := filepath.Join(directory, "written-by-a-test")
	t.Cleanup(func() { require.NoError(t, os.Remove(path)) })
	began := time.Now()
	writer := start(t, group, fmt.Sprintf("exec dd if=/dev/urandom of=%s bs=64k count=%d oflag=direct 2>/dev/null", path, amount>>16))
	require.NoError(t, writer.Wait())
	require.Greater(t, time.Since(began), time.Second, "%d bytes at %d a second", amount, rate)
}

func TestMemoryRoom_IsWhatTheTightestLimitLeaves(t *testing.T) {
	root := openRoot(t)
	needs(t, root, "memory")
	const most = 64 << 20
	require.NoError(t, write(root.Path(), "memory.max", "67108864"))
	room, limited := root.MemoryRoom()
	require.True(t, limited)
	require.LessOrEqual(t, room, uint64(most))
	require.Greater(t, room, uint64(most/2))
}

func TestRoomIn_CountsWhatCanBeFreed(t *testing.T) {
	directory := t.TempDir()
	_, limited := roomIn(directory)
	require.False(t, limited)
	for file, content := range map[string]string{"memory.max": "1000\n", "memory.current": "900\n", "memory.stat": "anon 1\ninactive_file 300\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, file), []byte(content), 0o600))
	}
	room, limited := roomIn(directory)
	require.True(t, limited)
	require.Equal(t, uint64(400), room)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "memory.max"), []byte("max\n"), 0o600))
	_, limited = roomIn(directory)
	require.False(t, limited)
}
