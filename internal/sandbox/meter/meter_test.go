package meter

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
)

// meterOf counts a real process, without a control group.
func meterOf(t *testing.T, script string, before Usage) (*Meter, *exec.Cmd) {
	t.Helper()
	command := exec.Command("sh", "-c", script)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return New(VM{ProcessID: command.Process.Pid, Link: "lo", DiskPath: filepath.Join(t.TempDir(), "disk"), VCPUCount: 1}, before), command
}

func TestMeter_CountsAProcessAndKeepsWhatADeadOneTook(t *testing.T) {
	t.Parallel()
	before := Usage{Running: time.Hour, Counters: Counters{CPU: time.Minute, DiskReadBytes: 7, NetworkSentPackets: 9}}
	k, command := meterOf(t, "while :; do :; done", before)
	require.NoError(t, os.WriteFile(k.vm.DiskPath, make([]byte, 64<<10), 0o600))
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
	counted := k.Measure()
	require.GreaterOrEqual(t, counted.CPU, sample.Counters.CPU)
	require.Greater(t, counted.Running, time.Hour)
	require.GreaterOrEqual(t, counted.DiskReadBytes, uint64(7))

	require.NoError(t, command.Process.Kill())
	require.Error(t, command.Wait())
	last := k.Measure()
	require.Equal(t, counted.CPU, last.CPU, "what a dead process took is not forgotten")
	require.Equal(t, last, k.Usage())
}

func TestMeter_IgnoresCountersThatWentBack(t *testing.T) {
	t.Parallel()
	k := &Meter{start: Start{At: time.Now(), Counters: Counters{CPU: time.Hour, NetworkSentBytes: 5}}, vm: VM{VCPUCount: 1}}
	k.lastAt = k.start.At.Add(-time.Minute) // a clock that was set
	require.Equal(t, Usage{}, k.Usage())
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

// silent is a sandbox whose guest is not asked.
type silent struct {
	meter   *Meter
	history History
}

func (s *silent) Meter() *Meter                             { return s.meter }
func (s *silent) History() *History                         { return &s.history }
func (*silent) AskGuest(context.Context, func(func()) bool) {}

// BenchmarkSample measures one second's work on a host with 200 idle sandboxes.
func BenchmarkSample(b *testing.B) {
	const count = 200
	root := cgroup.Open("", "benchmark", slog.New(slog.DiscardHandler))
	b.Cleanup(func() { require.NoError(b, root.Close()) })
	var subjects []Subject
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
		subjects = append(subjects, &silent{meter: New(VM{Group: group, ProcessID: command.Process.Pid, Link: "lo", DiskPath: "/etc/hostname", VCPUCount: 1}, Usage{})})
	}
	p := newSampler(func() iter.Seq[Subject] { return slices.Values(subjects) })
	b.ReportAllocs()
	for b.Loop() {
		p.sample(b.Context())
	}
}
