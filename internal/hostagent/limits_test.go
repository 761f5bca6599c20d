package hostagent

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
	"git.omukk.dev/wrenn/sandbox/pkg/settings"
)

// limitTests run on one agent in any order, each with a running sandbox of its own.
var limitTests = map[string]func(t *testing.T, a *agentUnderTest, sandboxID string){
	"a VM is in a control group of its own":                 testControlGroup,
	"samples advance while the guest computes":              testSamples,
	"the host reports its load":                             testLoad,
	"totals are kept over a pause":                          testTotalsAcrossPause,
	"totals are kept, and orphans ended, by the next agent": testTotalsAcrossRestart,
	"the CPUs of running sandboxes are bounded":             testOvercommit,
	"limits hold on a kernel that has every controller":     testRealLimits,
	"the control group of a sandbox that is killed is gone": testControlGroupEnds,
}

// TestLimits checks the control groups of VMs, their limits, and what is counted.
func TestLimits(t *testing.T) {
	dataDir := dataDir(t)
	a := startAgent(t, dataDir, keepRunning)
	t.Cleanup(func() { a.abort(t) })
	for name, test := range limitTests {
		t.Run(name, func(t *testing.T) { test(t, a, a.sandbox(t)) })
	}
	a.restart(t) // an agent that does not keep sandboxes running removes its groups
	a.shutDown(t)
	require.NoDirExists(t, groupsOf(t, dataDir))
}

func testControlGroup(t *testing.T, a *agentUnderTest, sandboxID string) {
	members, err := os.ReadFile(filepath.Join(groupsOf(t, a.config.DataDir), sandboxID, "cgroup.procs"))
	require.NoError(t, err)
	require.Equal(t, []string{strconv.Itoa(machineOf(t, sandboxID))}, strings.Fields(string(members)))
}

func testTotalsAcrossPause(t *testing.T, a *agentUnderTest, sandboxID string) {
	group := filepath.Join(groupsOf(t, a.config.DataDir), sandboxID)
	require.Eventually(t, func() bool { return len(a.sampled(t, sandboxID).GetSamples()) > 0 }, 20*time.Second, 100*time.Millisecond,
		"the first sample is taken some seconds after the start")
	before := a.sampled(t, sandboxID)
	a.pause(t, sandboxID)
	require.NoDirExists(t, group)
	paused := a.sampled(t, sandboxID)
	requireGrown(t, before.GetUsage(), paused.GetUsage())
	require.NotEmpty(t, paused.GetSamples())
	a.resume(t, sandboxID)
	require.DirExists(t, group)
	requireGrown(t, paused.GetUsage(), a.sampled(t, sandboxID).GetUsage())
}

func testTotalsAcrossRestart(t *testing.T, a *agentUnderTest, sandboxID string) {
	groups := groupsOf(t, a.config.DataDir)
	before := a.sampled(t, sandboxID)
	orphan := startOrphan(t, filepath.Join(groups, "orphan"))
	a.restart(t, keepRunning)
	require.ErrorContains(t, orphan.Wait(), "killed")
	require.NoDirExists(t, filepath.Join(groups, "orphan"))
	requireGrown(t, before.GetUsage(), a.sampled(t, sandboxID).GetUsage())
	require.DirExists(t, filepath.Join(groups, sandboxID))
}

func testOvercommit(t *testing.T, a *agentUnderTest, sandboxID string) {
	a.restart(t, keepRunning, func(config *Config) { config.Limits.CPUOvercommit = 1e-9 })
	defer a.restart(t, keepRunning)
	err := a.create(t.Context(), id.NewSandbox())
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
	require.ErrorContains(t, err, "CPUs that may be promised: -1 CPUs are left, 1 CPUs are needed, 2 too few")
	a.pause(t, sandboxID)
	_, err = a.ResumeSandbox(t.Context(), connect.NewRequest(&pb.ResumeSandboxRequest{SandboxId: sandboxID, Identity: &pb.Identity{}}))
	require.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_PAUSED, a.list(t)[sandboxID])
}

func testControlGroupEnds(t *testing.T, a *agentUnderTest, sandboxID string) {
	a.kill(t, sandboxID)
	require.NoDirExists(t, filepath.Join(groupsOf(t, a.config.DataDir), sandboxID))
}

func keepRunning(config *Config) { config.KeepRunning = true }

// groupsOf is where the control groups of an agent's sandboxes are.
func groupsOf(t *testing.T, dataDir string) string {
	t.Helper()
	name, err := installation.ReadName(dataDir)
	require.NoError(t, err)
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); fields[2] == "cgroup2" {
			return filepath.Join(fields[1], "wrenn", name)
		}
	}
	t.Skip("version 2 of control groups is not mounted")
	return ""
}

// startOrphan runs a process in a control group that no sandbox claims.
func startOrphan(t *testing.T, group string) *exec.Cmd {
	t.Helper()
	require.NoError(t, os.Mkdir(group, 0o755))
	directory, err := os.Open(group)
	require.NoError(t, err)
	defer directory.Close()
	orphan := exec.Command("sleep", "300")
	orphan.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(directory.Fd())}
	require.NoError(t, orphan.Start())
	return orphan
}

// machineOf is the process of a sandbox's VM.
func machineOf(t *testing.T, id string) int {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range lines {
		if line, err := os.ReadFile(path); err == nil && isVMMOf(string(line), id) {
			number, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			require.NoError(t, err)
			return number
		}
	}
	t.Fatalf("no VM of %s was found", id)
	return 0
}

// sampled returns everything that was measured of one sandbox.
func (a *agentUnderTest) sampled(t *testing.T, id string) *pb.SandboxSamples {
	t.Helper()
	listed, err := a.ListSamples(t.Context(), connect.NewRequest(&pb.ListSamplesRequest{SandboxIds: []string{id, "iunknown000000000000"}}))
	require.NoError(t, err)
	require.Len(t, listed.Msg.GetSandboxes(), 1)
	return listed.Msg.GetSandboxes()[0]
}

func requireGrown(t *testing.T, before, after *pb.Usage) {
	t.Helper()
	require.GreaterOrEqual(t, after.GetRunningSeconds(), before.GetRunningSeconds())
	require.GreaterOrEqual(t, after.GetCpuNanoseconds(), before.GetCpuNanoseconds())
	require.GreaterOrEqual(t, after.GetNetworkReceivedBytes(), before.GetNetworkReceivedBytes())
	require.GreaterOrEqual(t, after.GetDiskWrittenBytes(), before.GetDiskWrittenBytes())
	require.Greater(t, after.GetMemoryGibSeconds(), 0.0)
}

func testSamples(t *testing.T, a *agentUnderTest, id string) {
	began := time.Now()
	a.run(t, id, "timeout 3 sh -c 'while :; do :; done'; dd if=/dev/urandom of=/home/user/written bs=1M count=8 conv=fsync 2>&1; head -c 100000 /dev/urandom | base64")
	var all *pb.SandboxSamples
	defer func() {
		if t.Failed() {
			t.Logf("seen last: %v", all)
		}
	}()
	require.Eventually(t, func() bool {
		all = a.sampled(t, id)
		last := all.GetSamples()[max(0, len(all.GetSamples())-1):]
		return len(last) == 1 && last[0].GetDiskWrittenBytes() >= 8<<20 && last[0].GetNetworkSentBytes() > 100_000 && last[0].GetGuest() != nil
	}, 30*time.Second, 200*time.Millisecond)
	samples := all.GetSamples()
	busiest := 0.0
	for i, sample := range samples {
		busiest = max(busiest, sample.GetCpuUsedPercent())
		require.LessOrEqual(t, sample.GetCpuUsedPercent(), 100.0)
		require.Positive(t, sample.GetMemoryBytes())
		require.GreaterOrEqual(t, sample.GetMemoryPeakBytes(), sample.GetMemoryBytes())
		require.Positive(t, sample.GetDiskAllocatedBytes())
		if i > 0 {
			require.Greater(t, sample.GetAt().AsTime(), samples[i-1].GetAt().AsTime())
			require.GreaterOrEqual(t, sample.GetCpuNanoseconds(), samples[i-1].GetCpuNanoseconds())
		}
	}
	require.Greater(t, busiest, 20.0, "a busy guest takes its CPU, on a busy machine too")
	last := samples[len(samples)-1]
	require.Positive(t, last.GetNetworkReceivedPackets())
	require.Positive(t, last.GetGuest().GetMemoryUsedBytes())
	require.Greater(t, last.GetGuest().GetMemoryTotalBytes(), last.GetGuest().GetMemoryUsedBytes())
	require.LessOrEqual(t, last.GetGuest().GetMemoryTotalBytes(), all.GetMemoryLimitBytes())
	require.Positive(t, last.GetGuest().GetDiskUsedBytes())
	require.InDelta(t, time.Since(began).Seconds(), all.GetUsage().GetRunningSeconds(), 10)

	since, err := a.ListSamples(t.Context(), connect.NewRequest(&pb.ListSamplesRequest{Since: last.GetAt()}))
	require.NoError(t, err)
	for _, sample := range since.Msg.GetSandboxes()[0].GetSamples() {
		require.Greater(t, sample.GetAt().AsTime(), last.GetAt().AsTime())
	}
	latest, err := a.ListSamples(t.Context(), connect.NewRequest(&pb.ListSamplesRequest{LatestOnly: true}))
	require.NoError(t, err)
	require.Len(t, latest.Msg.GetSandboxes()[0].GetSamples(), 1)
}

// testLoad begins with an agent that has counted nothing.
func testLoad(t *testing.T, a *agentUnderTest, sandboxID string) {
	a.kill(t, sandboxID)
	a.restart(t, keepRunning)
	a.sandbox(t)
	require.Error(t, a.create(t.Context(), "../../etc"))
	hurried, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.Error(t, a.create(hurried, id.NewSandbox()))
	var info *pb.GetInfoResponse
	require.Eventually(t, func() bool {
		response, err := a.GetInfo(t.Context(), connect.NewRequest(&pb.GetInfoRequest{}))
		require.NoError(t, err)
		info = response.Msg
		return info.GetCreatesFailed() == 1 && info.GetCpuUsedPercent() > 0
	}, 20*time.Second, 50*time.Millisecond, "%v", info)
	require.Equal(t, uint64(1), info.GetCreatesSucceeded())
	require.Len(t, info.GetSandboxCounts(), 1)
	require.Equal(t, pb.SandboxState_SANDBOX_STATE_RUNNING, info.GetSandboxCounts()[0].GetState())
	require.Equal(t, uint32(1), info.GetAllocatedCpus())
	require.Equal(t, uint64(512<<20), info.GetAllocatedMemoryBytes())
	require.Positive(t, info.GetMemoryAvailableBytes())
}

// testRealLimits runs tests of control groups in a guest: a guest's kernel has every
// controller, which the machine's may not have.
func testRealLimits(t *testing.T, a *agentUnderTest, id string) {
	for directory, names := range map[string][]string{
		"cgroup":  {"TestLimits_ThrottleABusyLoop", "TestLimits_AMemoryHogDiesAloneAndItIsKnownWhy", "TestLimits_AForkBombIsBounded", "TestLimits_SlowWritesDown", "TestMemoryRoom_IsWhatTheTightestLimitLeaves"},
		"sandbox": {"TestWatchGuest_SaysThatAVMRanOutOfMemory", "TestAdmit_RefusesWhileWhatRunsWaitsForMemoryThatIsScarce"},
	} {
		program := filepath.Join(t.TempDir(), directory)
		build := exec.Command("go", "test", "-c", "-ldflags=-s -w", "-o", program, "../"+directory)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		output, err := build.CombinedOutput()
		require.NoError(t, err, "%s", output)
		content, err := os.ReadFile(program)
		require.NoError(t, err)
		a.send(t, id, "/home/user/"+directory, content)
		said := a.run(t, id, fmt.Sprintf("chmod 755 ~/%[1]s; sudo ~/%[1]s -test.v -test.timeout 50s -test.run '%[2]s' 2>&1; rm ~/%[1]s", directory, strings.Join(names, "|")))
		for _, name := range names {
			require.Contains(t, said, "--- PASS: "+name)
		}
		require.Regexp(t, `(?m)^PASS$`, said)
	}
	require.NotContains(t, a.run(t, id, "ls /sys/fs/cgroup"), "wrenn")
}

func TestConfig_RefusesLimitsOutOfRange(t *testing.T) {
	t.Parallel()
	check := func(limits Limits) error {
		return settings.Check(&Config{DataDir: "d", CacheDir: "c", EnvdPath: "e", Limits: limits})
	}
	require.NoError(t, check(Limits{}))
	require.NoError(t, check(Limits{CPUOvercommit: 0.5, DiskWeight: 10_000}))
	for name, limits := range map[string]Limits{
		"WRENN_CPU_OVERCOMMIT": {CPUOvercommit: -1}, "WRENN_MEMORY_OVERCOMMIT": {MemoryOvercommit: -0.1},
		"WRENN_DISK_OVERCOMMIT": {DiskOvercommit: -1}, "WRENN_MEMORY_PRESSURE_PERCENT": {MemoryPressurePercent: -1},
		"WRENN_MEMORY_RESERVE_MIB": {MemoryReserveMiB: -1}, "WRENN_DISK_RESERVE_MIB": {DiskReserveMiB: -1},
		"WRENN_SANDBOX_DISK_WEIGHT": {DiskWeight: 10_001},
		"WRENN_SANDBOX_READ_BYTES":  {ReadBytesPerSecond: -1}, "WRENN_SANDBOX_WRITE_BYTES": {WriteBytesPerSecond: -1},
		"WRENN_SANDBOX_READ_REQUESTS": {ReadRequestsPerSecond: -1}, "WRENN_SANDBOX_WRITE_REQUESTS": {WriteRequestsPerSecond: -1},
		"WRENN_SANDBOX_UPLOAD_BYTES": {UploadBytesPerSecond: -1}, "WRENN_SANDBOX_DOWNLOAD_BYTES": {DownloadBytesPerSecond: -1},
		"WRENN_SANDBOX_CONNECTIONS": {Connections: -1}, "from 0 to 4294967295": {Connections: 1 << 32},
	} {
		require.ErrorContains(t, check(limits), name)
	}
	require.ErrorIs(t, check(Limits{DownloadBytesPerSecond: 1000}), egress.ErrRateTooLow)
}

// send writes a file into a guest.
func (a *agentUnderTest) send(t *testing.T, id, path string, content []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://guest/files?path="+path, bytes.NewReader(content))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := toGuest{id, 49983, a.traffic.Transport}.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}
