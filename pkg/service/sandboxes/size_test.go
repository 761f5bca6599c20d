package sandboxes_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/service/usage"
)

// sized is a create of a size; zero is the template's: 1 vCPU, 512 MiB, 4096 MiB.
func (f fixture) sized(ctx context.Context, vcpus, memoryMiB, diskMiB int32) (sandbox.Sandbox, error) {
	wanted := sandboxes.NewSandbox{Template: "base", TimeoutSeconds: 60}
	for _, part := range []struct {
		value int32
		to    **int32
	}{{vcpus, &wanted.Size.VCPUCount}, {memoryMiB, &wanted.Size.MemoryMiB}, {diskMiB, &wanted.Size.DiskMiB}} {
		if part.value != 0 {
			*part.to = &part.value
		}
	}
	return f.Create(ctx, f.Team, wanted)
}

// prepares counts the sizes that the host is asked to prepare.
func (f fixture) prepares() *int {
	count := 0
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "prepare size" {
			count++
		}
		return nil
	})
	return &count
}

func TestCreate_OfAnotherSizePreparesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	prepared := f.prepares()
	made, err := f.sized(t.Context(), 2, 0, 8192)
	require.NoError(t, err)
	require.Equal(t, 1, *prepared)
	want := []int32{2, 512, 8192}
	require.Equal(t, want, []int32{made.VCPUCount, made.MemoryMiB, made.DiskMiB})
	stored := f.Stored(t, made.ID)
	require.Equal(t, want, []int32{stored.VCPUCount, stored.MemoryMiB, stored.DiskMiB})
	asked := f.Agent.Creation(made.ID).Size
	require.Equal(t, []uint32{2, 512, 8192}, []uint32{asked.VcpuCount, asked.MemoryMib, asked.DiskMib})
	lines, err := f.Logs(t.Context(), f.Team, made.ID, sandboxes.LogFilter{Limit: 10})
	require.NoError(t, err)
	var messages []string
	for _, line := range lines {
		messages = append(messages, line.Message)
	}
	require.Contains(t, messages, "the template boots")
	require.Contains(t, messages, "the size is ready")
	has, err := usage.New(f.Pool).Has(t.Context(), f.Team)
	require.NoError(t, err)
	require.Equal(t, usage.Has{Sandboxes: 1, VCPUs: 2, MemoryMiB: 512, DiskMiB: 8192}, has)

	own, err := f.sized(t.Context(), 1, 512, 4096)
	require.NoError(t, err)
	require.Equal(t, 1, *prepared, "the template's own size needs no preparation")
	require.Nil(t, f.Agent.Creation(own.ID).Size)
}

func TestCreate_OfASizeThatIsNotAllowedSaysWhichBound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	number := func(n int64) *int64 { return &n }
	for name, test := range map[string]struct {
		limits                    usage.Limits
		vcpus, memoryMiB, diskMiB int32
		want                      string
	}{
		"no vCPU":                {vcpus: -1, want: "cpuCount must be from 1 to 64"},
		"many vCPUs":             {vcpus: 65, want: "cpuCount must be from 1 to 64"},
		"little memory":          {memoryMiB: 127, want: "memoryMB must be from 128"},
		"much memory":            {memoryMiB: 1 << 20, want: "memoryMB must be from 128"},
		"much disk":              {diskMiB: 1<<20 + 1, want: "diskSizeMB must be from 1"},
		"a smaller disk":         {diskMiB: 4095, want: "ask for at least 4096"},
		"vCPUs of each":          {usage.Limits{MaxSandboxVCPUs: number(2)}, 3, 0, 0, "its limit maxSandboxVcpus"},
		"memory of each":         {usage.Limits{MaxSandboxMemoryMiB: number(1024)}, 0, 1025, 0, "its limit maxSandboxMemoryMiB"},
		"disk of each":           {usage.Limits{MaxSandboxDiskMiB: number(5000)}, 0, 0, 5001, "its limit maxSandboxDiskMiB"},
		"memory of all together": {usage.Limits{MaxMemoryMiB: number(1024)}, 0, 1025, 0, "its limit maxMemoryMiB"},
	} {
		require.NoError(t, usage.New(f.Pool).SetLimits(t.Context(), f.Team, test.limits))
		_, err := f.sized(t.Context(), test.vcpus, test.memoryMiB, test.diskMiB)
		require.Equal(t, fault.Invalid, fault.CodeOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, test.want, name)
	}
	require.Empty(t, f.Agent.States())
	require.NoError(t, usage.New(f.Pool).SetLimits(t.Context(), f.Team, usage.Limits{MaxSandboxMemoryMiB: number(511)}))
	_, err := f.sized(t.Context(), 0, 0, 0)
	require.Equal(t, fault.Invalid, fault.CodeOf(err), "the template's own size is bounded, too")
	require.NoError(t, usage.New(f.Pool).SetLimits(t.Context(), f.Team, usage.Limits{MaxSandboxVCPUs: number(2), MaxSandboxMemoryMiB: number(1024)}))
	_, err = f.sized(t.Context(), 2, 1024, 0)
	require.NoError(t, err)
}

func TestCreate_OfASizeThatTheHostRefusesSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "prepare size" {
			return host.Refuse(pb.Reason_REASON_SIZE_REFUSED, "the start command ended with exit code 3", errors.New("no"))
		}
		return nil
	})
	_, err := f.sized(t.Context(), 2, 0, 0)
	require.Equal(t, fault.Invalid, fault.CodeOf(err))
	require.Equal(t, fault.CreateRefused, fault.ReasonOf(err))
	require.ErrorContains(t, err, "exit code 3")
	require.Empty(t, f.Agent.States())
	has, err := usage.New(f.Pool).Has(t.Context(), f.Team)
	require.NoError(t, err)
	require.Zero(t, has.Sandboxes)
}

func TestCreate_OfASizeThatTakesLongSaysToAskAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SetSizePatience(50 * time.Millisecond)
	f.Agent.Before(func(ctx context.Context, operation, _ string) error {
		if operation == "prepare size" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	_, err := f.sized(t.Context(), 2, 0, 0)
	var early *fault.Error
	require.ErrorAs(t, err, &early)
	require.Equal(t, fault.Unavailable, early.Code)
	require.Equal(t, fault.PlacementTimeout, early.Reason)
	require.NotZero(t, early.RetryAfter)
	require.Contains(t, early.Message, "goes on; try again")
	require.Empty(t, f.Agent.States())
}
