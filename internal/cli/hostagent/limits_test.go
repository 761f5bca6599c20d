package hostagent

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
)

func TestLimitFlags_TakeTheEnvironmentAndThenTheCommandLine(t *testing.T) {
	t.Setenv("WRENN_CPU_OVERCOMMIT", "2.5")
	t.Setenv("WRENN_MEMORY_OVERCOMMIT", "not a number")
	t.Setenv("WRENN_DISK_RESERVE_MIB", "7")
	t.Setenv("WRENN_SANDBOX_WRITE_BYTES", "1000000")
	t.Setenv("WRENN_CGROUP_ROOT", "off")
	t.Setenv("WRENN_SANDBOX_UPLOAD_BYTES", "2000000")
	var limits hostagent.Limits
	flags := pflag.NewFlagSet("host agent", pflag.ContinueOnError)
	addLimitFlags(flags, &limits)
	require.NoError(t, flags.Parse([]string{"--disk-reserve-mib", "9", "--memory-pressure-percent=0", "--sandbox-download-bytes=3000000"}))
	require.Equal(t, hostagent.Limits{
		CgroupRoot: "off", CPUOvercommit: 2.5, MemoryOvercommit: defaultMemoryOvercommit,
		MemoryReserveMiB: defaultMemoryReserveMiB, DiskReserveMiB: 9, WriteBytesPerSecond: 1_000_000,
		UploadBytesPerSecond: 2_000_000, DownloadBytesPerSecond: 3_000_000, Connections: defaultConnections,
	}, limits)
}
