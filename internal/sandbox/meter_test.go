package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
)

// meterOf counts a real process, without a control group.
func meterOf(t *testing.T, script string, before Usage) (*meter, *exec.Cmd) {
	t.Helper()
	command := exec.Command("sh", "-c", script)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	k := &meter{process: filesOf(command.Process.Pid), link: "lo", diskPath: filepath.Join(t.TempDir(), "disk"), vcpuCount: 1, before: before}
	now := newReader().read(k)
	k.start = meterStart{At: time.Now(), Counters: now.counters}
	k.last, k.lastAt = now.counters, k.start.At
	return k, command
}

func TestMeter_CountsAProcessAndKeepsWhatADeadOneTook(t *testing.T) {
	t.Parallel()
	before := Usage{Running: time.Hour, Counters: Counters{CPU: time.Minute, DiskReadBytes: 7, NetworkSentPackets: 9}}
	k, command := meterOf(t, "while :; do :; done", before)
	require.NoError(t, os.WriteFile(k.diskPath, make([]byte, 64<<10), 0o600))
	r := newReader()
	var sample Sample
	require.Eventually(t, func() bool {
		r.readLinks()
		sample = k.sample(r.read(k), time.Now())
		return sample.Counters.CPU >= time.Minute+50*time.Millisecond
	}, 20*time.Second, 20*time.Millisecond)
	require.Positive(t, sample.MemoryBytes)
	require.GreaterOrEqual(t, sample.DiskAllocatedBytes, uint64(64<<10))
	require.LessOrEqual(t, sample.CPUUsedPercent, 100.0)
	counted := k.measure()
	require.GreaterOrEqual(t, counted.CPU, sample.Counters.CPU)
	require.Greater(t, counted.Running, time.Hour)
	require.GreaterOrEqual(t, counted.DiskReadBytes, uint64(7))

	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())
	last := k.measure()
	require.Equal(t, counted.CPU, last.CPU, "what a dead process took is not forgotten")
	require.Equal(t, last, k.usage())
}

func TestMeter_IgnoresCountersThatWentBack(t *testing.T) {
	t.Parallel()
	k := &meter{start: meterStart{At: time.Now(), Counters: Counters{CPU: time.Hour, NetworkSentBytes: 5}}, vcpuCount: 1}
	k.lastAt = k.start.At.Add(-time.Minute) // a clock that was set
	require.Equal(t, Usage{}, k.usage())
	sample := k.sample(reading{counters: Counters{CPU: time.Hour + time.Second, NetworkSentBytes: 3}}, k.start.At.Add(time.Second))
	require.Equal(t, Counters{CPU: time.Second}, sample.Counters)
}

func TestCountLink_FindsOneLinkAmongAll(t *testing.T) {
	t.Parallel()
	r := &reader{links: []byte("Inter-|   Receive |  Transmit\n face |bytes packets\n" +
		"wrenn12: 99 98 0 0 0 0 0 0 97 96 0 0 0 0 0 0\n" +
		" wrenn1:     11       2    0    0    0     0          0         0     33      4    0    0    0     0       0          0\n")}
	var counted Counters
	r.countLink("wrenn1", &counted)
	require.Equal(t, Counters{NetworkSentBytes: 11, NetworkSentPackets: 2, NetworkReceivedBytes: 33, NetworkReceivedPackets: 4}, counted)
	counted = Counters{}
	r.countLink("wrenn", &counted)
	require.Equal(t, Counters{}, counted)
}

func TestHostCPU_IsWhatWasBusyInBetween(t *testing.T) {
	t.Parallel()
	first := hostCPU{busy: 100, all: 1000}.after(hostCPU{})
	require.Zero(t, first.usedPercent)
	require.InDelta(t, 25, hostCPU{busy: 150, all: 1200}.after(first).usedPercent, 1e-9)
	now := newReader().hostCPU()
	require.Positive(t, now.busy)
	require.Greater(t, now.all, now.busy)
}

func TestUsage_MeasuresMemoryByTime(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 5, Usage{Running: 10 * time.Second}.MemoryGiBSeconds(512), 1e-9)
}

// BenchmarkSample is the price of a second on a host with 200 idle sandboxes.
func BenchmarkSample(b *testing.B) {
	const count = 200
	root := cgroup.Open("", "benchmark", slog.New(slog.DiscardHandler))
	b.Cleanup(func() { require.NoError(b, root.Close()) })
	m := &Manager{sandboxes: make(map[string]*sandbox)}
	for i := range count {
		id := fmt.Sprint("idle", i)
		group, err := root.Create(id, cgroup.Limits{})
		require.NoError(b, err)
		command := exec.Command("sleep", "300")
		if group != nil {
			command.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Directory().Fd())}
		}
		require.NoError(b, command.Start())
		b.Cleanup(func() {
			require.NoError(b, command.Process.Kill())
			require.Error(b, command.Wait())
			require.NoError(b, group.Remove(context.Background()))
		})
		k := &meter{group: group, process: filesOf(command.Process.Pid), link: "lo", diskPath: "/etc/hostname", vcpuCount: 1}
		m.sandboxes[id] = &sandbox{id: id, meter: k}
	}
	p := &sampler{manager: m, reader: newReader()}
	b.ReportAllocs()
	for b.Loop() {
		p.sample(b.Context())
	}
}
