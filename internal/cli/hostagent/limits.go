package hostagent

import (
	"os"
	"strconv"

	"github.com/spf13/pflag"

	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
)

const (
	// defaultMemoryOvercommit rests on idle sandboxes sharing their template's
	// pages: each takes a small part of what it was promised.
	defaultMemoryOvercommit      = 8
	defaultMemoryReserveMiB      = 512
	defaultDiskReserveMiB        = 1024
	defaultMemoryPressurePercent = 20
	// defaultConnections is more than a browser or a build opens, and a fraction of
	// what the host has for all: its kernel tracks some 260,000 connections and has
	// 28,000 ports for each server that many sandboxes connect to.
	defaultConnections = 4096
)

// addLimitFlags adds what sandboxes may take of a host. CPUs are not bounded
// unless somebody says so: idle sandboxes take none, and busy ones share.
func addLimitFlags(flags *pflag.FlagSet, limits *hostagent.Limits) {
	flags.StringVar(&limits.CgroupRoot, "cgroup-root", os.Getenv("WRENN_CGROUP_ROOT"), "directory for the sandboxes' control groups, \"off\" for none (WRENN_CGROUP_ROOT, default \"wrenn\" at the top of the hierarchy)")
	for _, flag := range []struct {
		value             *float64
		name, environment string
		otherwise         float64
		usage             string
	}{
		{&limits.CPUOvercommit, "cpu-overcommit", "WRENN_CPU_OVERCOMMIT", 0, "how many times the CPUs may be promised to running sandboxes, 0 for no bound"},
		{&limits.MemoryOvercommit, "memory-overcommit", "WRENN_MEMORY_OVERCOMMIT", defaultMemoryOvercommit, "how many times the memory may be promised to running sandboxes, 0 for no bound"},
		{&limits.DiskOvercommit, "disk-overcommit", "WRENN_DISK_OVERCOMMIT", 0, "how many times the disk may be promised to sandboxes, paused ones too, 0 for no bound"},
		{&limits.MemoryPressurePercent, "memory-pressure-percent", "WRENN_MEMORY_PRESSURE_PERCENT", defaultMemoryPressurePercent, "share of ten seconds spent waiting for memory above which no sandbox is taken, 0 for no bound"},
	} {
		flags.Float64Var(flag.value, flag.name, environmentFraction(flag.environment, flag.otherwise), flag.usage+" ("+flag.environment+")")
	}
	for _, flag := range []struct {
		value             *int
		name, environment string
		otherwise         int
		usage             string
	}{
		{&limits.MemoryReserveMiB, "memory-reserve-mib", "WRENN_MEMORY_RESERVE_MIB", defaultMemoryReserveMiB, "memory that stays free, in MiB"},
		{&limits.DiskReserveMiB, "disk-reserve-mib", "WRENN_DISK_RESERVE_MIB", defaultDiskReserveMiB, "disk space that stays free, in MiB; sandboxes that write stand still when half of it is taken"},
		{&limits.Connections, "sandbox-connections", "WRENN_SANDBOX_CONNECTIONS", defaultConnections, "connections that each sandbox may have open at a time, 0 for no bound"},
		{&limits.DiskWeight, "sandbox-disk-weight", "WRENN_SANDBOX_DISK_WEIGHT", 0, "each sandbox's share of a disk that all want, 1 to 10000, 0 for the kernel's default"},
	} {
		flags.IntVar(flag.value, flag.name, environmentNumber(flag.environment, flag.otherwise), flag.usage+" ("+flag.environment+")")
	}
	for _, flag := range []struct {
		value                    *int64
		name, environment, usage string
	}{
		{&limits.ReadBytesPerSecond, "sandbox-read-bytes", "WRENN_SANDBOX_READ_BYTES", "what each sandbox may read from disk, in bytes a second"},
		{&limits.WriteBytesPerSecond, "sandbox-write-bytes", "WRENN_SANDBOX_WRITE_BYTES", "what each sandbox may write to disk, in bytes a second"},
		{&limits.ReadRequestsPerSecond, "sandbox-read-requests", "WRENN_SANDBOX_READ_REQUESTS", "how often each sandbox may read from disk, a second"},
		{&limits.WriteRequestsPerSecond, "sandbox-write-requests", "WRENN_SANDBOX_WRITE_REQUESTS", "how often each sandbox may write to disk, a second"},
		{&limits.UploadBytesPerSecond, "sandbox-upload-bytes", "WRENN_SANDBOX_UPLOAD_BYTES", "what each sandbox may send to the internet, in bytes a second"},
		{&limits.DownloadBytesPerSecond, "sandbox-download-bytes", "WRENN_SANDBOX_DOWNLOAD_BYTES", "what each sandbox may get from the internet, in bytes a second"},
	} {
		flags.Int64Var(flag.value, flag.name, int64(environmentNumber(flag.environment, 0)), flag.usage+", 0 for no limit ("+flag.environment+")")
	}
}

// environmentFraction reads a number; what is none is the default.
func environmentFraction(name string, otherwise float64) float64 {
	number, err := strconv.ParseFloat(os.Getenv(name), 64)
	if err != nil {
		return otherwise
	}
	return number
}
