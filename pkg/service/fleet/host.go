package fleet

import (
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Host is a machine of the fleet.
type Host struct {
	ID   uuid.UUID
	Name string
	// Address is where control planes reach it, with a port; empty for the control
	// plane's own machine.
	Address        string
	Tags           []string
	State          lifecycle.HostState
	StateChangedAt time.Time
	// DrainWanted is set from a drain to the undrain, also while the host is
	// unreachable.
	DrainWanted bool
	// Follower is the control plane that follows it; 0 for none.
	Follower   int32
	LastSeenAt *time.Time

	// What its agent said of it last.
	Version          string
	Driver           string
	Accelerator      string
	CPUCount         int32
	MemoryTotalBytes int64
	DiskTotalBytes   int64
}

// Isolation is what its sandboxes have; empty until it has been reached.
func (h Host) Isolation() sandbox.Isolation { return sandbox.IsolationOf(h.Driver) }

// Resources are vCPUs and MiB of memory and disk.
type Resources struct{ VCPUs, MemoryMiB, DiskMiB int64 }

// LoadedHost is a host and how full it is.
type LoadedHost struct {
	Host
	// Allocated is what its sandboxes hold of Capacity, which is what may be promised.
	Allocated, Capacity  Resources
	MemoryAvailableBytes int64
	DiskAvailableBytes   int64

	// SandboxCount has those that hold processors and memory.
	SandboxCount  int32
	StartingCount int32
	PausedCount   int32
	FailedCount   int32
	// CreateSuccesses and CreateFailures count since the host joined.
	CreateSuccesses int64
	CreateFailures  int64
}

// Token lets one machine join the fleet.
type Token struct {
	ID        uuid.UUID
	Tags      []string
	ExpiresAt time.Time
}
