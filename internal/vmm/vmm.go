// Package vmm is the seam between Wrenn and the programs that run virtual
// machines. A Driver starts machines; a Machine is one of them, alive.
//
// Drivers differ in how they do it, never in what a caller sees: a machine is
// booted once to make a template and restored ever after. Its memory file is
// mapped privately, so clones of one snapshot share the page cache, and a
// snapshot writes only the pages that were changed since.
package vmm

import (
	"context"
	"errors"
	"os"
)

// ErrNotRunning is returned for a machine whose process has ended.
var ErrNotRunning = errors.New("virtual machine is not running")

// Driver starts virtual machines with one VMM.
type Driver interface {
	// Name is the driver's name: "qemu" or "firecracker".
	Name() string
	// Accelerator is how guest code runs: "kvm" or "tcg" (software emulation).
	Accelerator() string
	// Boot starts a kernel in fresh memory. The machine runs on return.
	Boot(ctx context.Context, spec Spec, boot Boot) (Machine, error)
	// Restore starts a machine from a snapshot's memory and devices. The
	// machine runs on return; neither file is ever written to. What another
	// driver or accelerator made is an *IncompatibleError.
	Restore(ctx context.Context, spec Spec, from State) (Machine, error)
	// Adopt takes over a machine that runs already: spec and memoryPath are
	// those it was started with, process is what it told then. It may be paused.
	// ErrNotRunning means that it has ended.
	Adopt(ctx context.Context, spec Spec, memoryPath string, process Process) (Machine, error)
	// Processes finds the VMM processes whose disks lie below a directory,
	// whoever started them.
	Processes(directory string) ([]Process, error)
}

// Spec is what a machine is made of. Restoring takes the same hardware that
// the snapshot was taken from.
type Spec struct {
	// Name tells machines apart in process lists and logs.
	Name string
	// RunDir is an existing directory for sockets and logs, this machine's own.
	RunDir string
	// User is the user ID that the VMM runs as: neither root nor that of another
	// machine that runs.
	User int
	// VCPUCount is the number of virtual CPUs, at least 1.
	VCPUCount int
	// MemoryMiB is the size of guest memory in MiB.
	MemoryMiB int
	// DiskPath is the raw image that backs /dev/vda, written to in place.
	DiskPath string
	// NetworkNamespace is the path of the namespace the VMM runs in.
	NetworkNamespace string
	// TapDevice is the TAP interface in that namespace, already up.
	TapDevice string
	// GuestMAC is the hardware address of eth0 in the guest.
	GuestMAC string
	// Cgroup is the opened directory of a control group, version 2, that the VMM
	// is started right into, with all it starts itself: SysProcAttr.UseCgroupFD.
	// Never the group's owner, the driver neither closes nor removes it. Nil: it
	// starts in the group of who starts it. Adopt does not look at it.
	Cgroup *os.File
	// Metadata is what the guest may read of itself, by name. Only drivers with
	// the capability heed it.
	Metadata map[string]string
	// NetworkBytesPerSecond bounds what the guest sends and receives, each by
	// itself; zero is no bound. Only drivers with the capability heed it.
	NetworkBytesPerSecond int64
}

// ErrNoUser is returned for a machine that would run as root.
var ErrNoUser = errors.New("the machine has no user of its own")

// Boot is what a cold start needs beyond the hardware.
type Boot struct {
	// MemoryPath is an empty file of the guest's memory size: the zeroes that
	// the first snapshot is compared with.
	MemoryPath    string
	KernelPath    string
	InitramfsPath string
	CommandLine   string
}

// State is a machine at rest: the files one snapshot consists of, disk apart.
type State struct {
	// MemoryPath holds guest memory, byte for byte; sparse where it is zero.
	MemoryPath string
	// DevicesPath holds the VMM's own record of CPUs and devices.
	DevicesPath string
	// MadeBy is what wrote them. Snapshot does not look at it.
	MadeBy Maker
}

// Machine is one running virtual machine. Its methods are called by one owner
// at a time; Done and ExitReason may be used by anybody.
type Machine interface {
	// Pause stops the virtual CPUs and settles the disk. Pausing twice is fine.
	Pause(ctx context.Context) error
	// Resume starts the virtual CPUs again.
	Resume(ctx context.Context) error
	// Snapshot writes a paused machine's state. into.MemoryPath must already
	// hold a copy of the memory the machine was started from: only pages
	// changed since then are written. Nothing is synced to disk.
	Snapshot(ctx context.Context, into State) error
	// Kill ends the machine without asking the guest and waits for its process.
	Kill(ctx context.Context) error
	// Release lets go of a machine that shall run on without its owner, who
	// may Adopt it later; no other method may be called any more.
	Release()
	// Maker is what its snapshots are made by.
	Maker() Maker
	// Process is the VMM's process.
	Process() Process
	// Done is closed when the VMM's process has ended, for whatever reason.
	Done() <-chan struct{}
	// ExitReason says why it ended; it is empty until Done is closed.
	ExitReason() string
}
