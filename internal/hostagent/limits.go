package hostagent

import (
	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
)

// Limits bound what sandboxes may use of a host. Zero is no limit.
type Limits struct {
	// CgroupRoot is the directory in which control groups are made; empty for "wrenn" at
	// the top of the hierarchy, "off" for none.
	CgroupRoot string `env:"WRENN_CGROUP_ROOT" flag:"cgroup-root" derived:"wrenn at the top of the hierarchy" help:"directory for the control groups of sandboxes, off for none"`
	// CPUOvercommit and MemoryOvercommit bound the vCPUs and the memory of all running
	// sandboxes, DiskOvercommit the disks of all sandboxes, as multiples of the host's.
	// Idle sandboxes use no CPU, and little memory beyond their template's pages, which
	// they share.
	CPUOvercommit    float64 `env:"WRENN_CPU_OVERCOMMIT" flag:"cpu-overcommit" default:"0" min:"0" help:"vCPUs of all running sandboxes as a multiple of the CPUs, 0 for no limit"`
	MemoryOvercommit float64 `env:"WRENN_MEMORY_OVERCOMMIT" flag:"memory-overcommit" default:"8" min:"0" help:"memory of all running sandboxes as a multiple of the memory, 0 for no limit"`
	DiskOvercommit   float64 `env:"WRENN_DISK_OVERCOMMIT" flag:"disk-overcommit" default:"0" min:"0" help:"disks of all sandboxes, including paused ones, as a multiple of the disk, 0 for no limit"`
	// MemoryReserveMiB and DiskReserveMiB are kept free. When half of the disk's reserve is
	// used, sandboxes that write are stopped until there is more.
	MemoryReserveMiB int `env:"WRENN_MEMORY_RESERVE_MIB" flag:"memory-reserve-mib" default:"512" min:"0" help:"memory in MiB that is kept free"`
	DiskReserveMiB   int `env:"WRENN_DISK_RESERVE_MIB" flag:"disk-reserve-mib" default:"1024" min:"0" help:"disk in MiB that is kept free; when half of it is used, sandboxes that write are stopped until there is more"`
	// MemoryPressurePercent is the share of the last ten seconds in which a process of the
	// host waited for memory. Above it, with little memory free, no sandbox is started.
	MemoryPressurePercent float64 `env:"WRENN_MEMORY_PRESSURE_PERCENT" flag:"memory-pressure-percent" default:"20" min:"0" help:"share of ten seconds spent waiting for memory above which no sandbox is started, 0 for no limit"`
	// Limits of each sandbox on the disk of the data directory.
	ReadBytesPerSecond     int64 `env:"WRENN_SANDBOX_READ_BYTES" flag:"sandbox-read-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may read from disk, 0 for no limit"`
	WriteBytesPerSecond    int64 `env:"WRENN_SANDBOX_WRITE_BYTES" flag:"sandbox-write-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may write to disk, 0 for no limit"`
	ReadRequestsPerSecond  int64 `env:"WRENN_SANDBOX_READ_REQUESTS" flag:"sandbox-read-requests" default:"0" min:"0" help:"reads a second that each sandbox may do on disk, 0 for no limit"`
	WriteRequestsPerSecond int64 `env:"WRENN_SANDBOX_WRITE_REQUESTS" flag:"sandbox-write-requests" default:"0" min:"0" help:"writes a second that each sandbox may do on disk, 0 for no limit"`
	// DiskWeight is each sandbox's share of a busy disk.
	DiskWeight int `env:"WRENN_SANDBOX_DISK_WEIGHT" flag:"sandbox-disk-weight" default:"0" min:"0" max:"10000" help:"each sandbox's share of a busy disk, 1 to 10000, 0 for the kernel's default"`
	// Limits of each sandbox on the network, where its own policy has no lower ones.
	UploadBytesPerSecond   int64 `env:"WRENN_SANDBOX_UPLOAD_BYTES" flag:"sandbox-upload-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may send to the internet, 0 for no limit"`
	DownloadBytesPerSecond int64 `env:"WRENN_SANDBOX_DOWNLOAD_BYTES" flag:"sandbox-download-bytes" default:"0" min:"0" help:"bytes a second that each sandbox may receive from the internet, 0 for no limit"`
	// Connections is how many connections a sandbox may have open at a time. The default
	// is more than a browser or a build opens, and a fraction of what the host has for
	// all: its kernel tracks 260,000 connections, and has 28,000 ports for each server
	// that several sandboxes connect to.
	Connections int `env:"WRENN_SANDBOX_CONNECTIONS" flag:"sandbox-connections" default:"4096" min:"0" max:"4294967295" help:"connections that each sandbox may have open at a time, 0 for no limit"`
}

// network returns the limits of each network slot.
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

// disk returns the limits of each VM's disk without their device.
func (l Limits) disk() cgroup.IOLimits {
	return cgroup.IOLimits{
		ReadBytesPerSecond: l.ReadBytesPerSecond, WriteBytesPerSecond: l.WriteBytesPerSecond,
		ReadRequestsPerSecond: l.ReadRequestsPerSecond, WriteRequestsPerSecond: l.WriteRequestsPerSecond,
		Weight: l.DiskWeight,
	}
}
