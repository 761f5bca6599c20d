package hostagent

import (
	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
)

// Limits are what sandboxes may take of a host, together and each by itself. Zero
// is no limit.
type Limits struct {
	// CgroupRoot is the directory that control groups are made in; empty is
	// "wrenn" at the top of the hierarchy, "off" makes none.
	CgroupRoot string `env:"WRENN_CGROUP_ROOT" flag:"cgroup-root" derived:"wrenn at the top of the hierarchy" help:"directory for the control groups of sandboxes, off for none"`
	// CPUOvercommit and MemoryOvercommit are how many times the host's CPUs and
	// memory may be promised to sandboxes that run, DiskOvercommit how many times
	// the disk to all. Idle sandboxes take no CPU, and little memory beyond their
	// template's pages, which they share.
	CPUOvercommit    float64 `env:"WRENN_CPU_OVERCOMMIT" flag:"cpu-overcommit" default:"0" min:"0" help:"how many times the CPUs may be promised to running sandboxes, 0 for no bound"`
	MemoryOvercommit float64 `env:"WRENN_MEMORY_OVERCOMMIT" flag:"memory-overcommit" default:"8" min:"0" help:"how many times the memory may be promised to running sandboxes, 0 for no bound"`
	DiskOvercommit   float64 `env:"WRENN_DISK_OVERCOMMIT" flag:"disk-overcommit" default:"0" min:"0" help:"how many times the disk may be promised to sandboxes, paused ones too, 0 for no bound"`
	// MemoryReserveMiB and DiskReserveMiB always stay free. Sandboxes that run and
	// write stand still when half of the disk's reserve is taken.
	MemoryReserveMiB int `env:"WRENN_MEMORY_RESERVE_MIB" flag:"memory-reserve-mib" default:"512" min:"0" help:"memory in MiB that stays free"`
	DiskReserveMiB   int `env:"WRENN_DISK_RESERVE_MIB" flag:"disk-reserve-mib" default:"1024" min:"0" help:"disk in MiB that stays free; sandboxes that write stand still when half of it is taken"`
	// MemoryPressurePercent is how much of ten seconds something on the host may
	// have waited for memory, when little is free, before it takes no more sandboxes.
	MemoryPressurePercent float64 `env:"WRENN_MEMORY_PRESSURE_PERCENT" flag:"memory-pressure-percent" default:"20" min:"0" help:"share of ten seconds spent waiting for memory above which no sandbox is taken, 0 for no bound"`
	// Of each sandbox, on the disk of the data directory:
	ReadBytesPerSecond     int64 `env:"WRENN_SANDBOX_READ_BYTES" flag:"sandbox-read-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may read from disk, 0 for no limit"`
	WriteBytesPerSecond    int64 `env:"WRENN_SANDBOX_WRITE_BYTES" flag:"sandbox-write-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may write to disk, 0 for no limit"`
	ReadRequestsPerSecond  int64 `env:"WRENN_SANDBOX_READ_REQUESTS" flag:"sandbox-read-requests" default:"0" min:"0" help:"how often a second each sandbox may read from disk, 0 for no limit"`
	WriteRequestsPerSecond int64 `env:"WRENN_SANDBOX_WRITE_REQUESTS" flag:"sandbox-write-requests" default:"0" min:"0" help:"how often a second each sandbox may write to disk, 0 for no limit"`
	// DiskWeight is its share of a disk that all want.
	DiskWeight int `env:"WRENN_SANDBOX_DISK_WEIGHT" flag:"sandbox-disk-weight" default:"0" min:"0" max:"10000" help:"share of each sandbox of a disk that all want, 1 to 10000, 0 for the kernel's default"`
	// Of each sandbox, on the network, where its own policy is not tighter:
	UploadBytesPerSecond   int64 `env:"WRENN_SANDBOX_UPLOAD_BYTES" flag:"sandbox-upload-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may send to the internet, 0 for no limit"`
	DownloadBytesPerSecond int64 `env:"WRENN_SANDBOX_DOWNLOAD_BYTES" flag:"sandbox-download-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may get from the internet, 0 for no limit"`
	// Connections are those that a sandbox has open at a time. The default is more than
	// a browser or a build opens, and a fraction of what the host has for all: its kernel
	// tracks some 260,000 connections and has 28,000 ports for each server that many
	// sandboxes connect to.
	Connections int `env:"WRENN_SANDBOX_CONNECTIONS" flag:"sandbox-connections" default:"4096" min:"0" max:"4294967295" help:"connections that each sandbox may have open at a time, 0 for no bound"`
}

// network are the limits of each sandbox's slot.
func (l Limits) network() egress.Limits {
	return egress.Limits{
		UploadBytesPerSecond: uint64(l.UploadBytesPerSecond), DownloadBytesPerSecond: uint64(l.DownloadBytesPerSecond),
		Connections: uint32(l.Connections),
	}
}

func (l Limits) admission(directories ...string) admission.Bounds {
	const mebibyte = 1 << 20
	return admission.Bounds{
		CPURatio: l.CPUOvercommit, MemoryRatio: l.MemoryOvercommit, DiskRatio: l.DiskOvercommit, PressurePercent: l.MemoryPressurePercent,
		MemoryReserveBytes: uint64(l.MemoryReserveMiB) * mebibyte, DiskReserveBytes: uint64(l.DiskReserveMiB) * mebibyte,
		Directories: directories,
	}
}

// disk are the limits of each sandbox on a device that is not known yet.
func (l Limits) disk() cgroup.IOLimits {
	return cgroup.IOLimits{
		ReadBytesPerSecond: l.ReadBytesPerSecond, WriteBytesPerSecond: l.WriteBytesPerSecond,
		ReadRequestsPerSecond: l.ReadRequestsPerSecond, WriteRequestsPerSecond: l.WriteRequestsPerSecond,
		Weight: l.DiskWeight,
	}
}
