package hostagent

import (
	"fmt"
	"math"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox"
)

// Limits are what sandboxes may take of a host, together and each by itself. Zero
// is no limit.
type Limits struct {
	// CgroupRoot is the directory that control groups are made in; empty is
	// "wrenn" at the top of the hierarchy, "off" makes none.
	CgroupRoot string
	// CPUOvercommit and MemoryOvercommit are how many times the host's CPUs and
	// memory may be promised to sandboxes that run, DiskOvercommit how many times
	// the disk to all.
	CPUOvercommit    float64
	MemoryOvercommit float64
	DiskOvercommit   float64
	// MemoryReserveMiB and DiskReserveMiB always stay free. Sandboxes that run and
	// write stand still when half of what is reserved of the disk is taken.
	MemoryReserveMiB int
	DiskReserveMiB   int
	// MemoryPressurePercent is how much of ten seconds something on the host may
	// have waited for memory, when little is free, before it takes no more sandboxes.
	MemoryPressurePercent float64
	// Of each sandbox, on the disk of the data directory:
	ReadBytesPerSecond     int64
	WriteBytesPerSecond    int64
	ReadRequestsPerSecond  int64
	WriteRequestsPerSecond int64
	// DiskWeight, from 1 to 10000, is its share of a disk that all want.
	DiskWeight int
	// Of each sandbox, on the network, where its own policy is not tighter:
	UploadBytesPerSecond   int64
	DownloadBytesPerSecond int64
	// Connections are those that a sandbox has open at a time.
	Connections int
}

func (l Limits) validate() error {
	const mostWeight = 10_000
	for _, bound := range []struct {
		name  string
		value float64
	}{
		{"CPUOvercommit", l.CPUOvercommit},
		{"MemoryOvercommit", l.MemoryOvercommit},
		{"DiskOvercommit", l.DiskOvercommit},
		{"MemoryReserveMiB", float64(l.MemoryReserveMiB)},
		{"DiskReserveMiB", float64(l.DiskReserveMiB)},
		{"MemoryPressurePercent", l.MemoryPressurePercent},
		{"ReadBytesPerSecond", float64(l.ReadBytesPerSecond)},
		{"WriteBytesPerSecond", float64(l.WriteBytesPerSecond)},
		{"ReadRequestsPerSecond", float64(l.ReadRequestsPerSecond)},
		{"WriteRequestsPerSecond", float64(l.WriteRequestsPerSecond)},
		{"DiskWeight", float64(l.DiskWeight)},
		{"UploadBytesPerSecond", float64(l.UploadBytesPerSecond)},
		{"DownloadBytesPerSecond", float64(l.DownloadBytesPerSecond)},
		{"Connections", float64(l.Connections)},
	} {
		if bound.value < 0 {
			return fmt.Errorf("host agent configuration: %s is %g and cannot be negative", bound.name, bound.value)
		}
	}
	if l.DiskWeight > mostWeight {
		return fmt.Errorf("host agent configuration: DiskWeight is %d and cannot be above %d", l.DiskWeight, mostWeight)
	}
	if l.Connections > math.MaxUint32 {
		return fmt.Errorf("host agent configuration: Connections is %d and cannot be above %d", l.Connections, uint32(math.MaxUint32))
	}
	if err := l.network().Check(); err != nil {
		return fmt.Errorf("host agent configuration: %w", err)
	}
	return nil
}

// network are the limits of each sandbox's slot.
func (l Limits) network() egress.Limits {
	return egress.Limits{
		UploadBytesPerSecond: uint64(l.UploadBytesPerSecond), DownloadBytesPerSecond: uint64(l.DownloadBytesPerSecond),
		Connections: uint32(l.Connections),
	}
}

func (l Limits) admission(directories ...string) sandbox.Admission {
	const mebibyte = 1 << 20
	return sandbox.Admission{
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
