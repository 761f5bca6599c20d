// Package vmm is the interface between Wrenn and the programs that run virtual
// machines. A Driver starts machines; a Machine is one that runs.
//
// All drivers behave the same to their callers, which package vmmtest verifies. A
// template's machine is booted once; every sandbox is restored from a snapshot. The
// memory file is mapped privately, so clones of one snapshot share the page cache, and
// a snapshot writes only the pages that changed since the start.
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
	// Name is the driver's name: "qemu", "firecracker" or "gvisor".
	Name() string
	// Accelerator is how guest code runs: "kvm", "tcg" (software emulation) or "systrap"
	// (gVisor's).
	Accelerator() string
	// Boot starts a kernel in fresh memory. The machine runs on return.
	Boot(ctx context.Context, spec Spec, boot Boot) (Machine, error)
	// Restore starts a machine from a snapshot's memory and devices. The
	// machine runs on return; neither file is ever written to. A snapshot of
	// another driver or accelerator is an *IncompatibleError.
	Restore(ctx context.Context, spec Spec, from State) (Machine, error)
	// Adopt takes over a machine that another process started: spec and memoryPath
	// are those of its start, process is what Machine.Process returned. The machine may
	// be paused. ErrNotRunning means that it has ended.
	Adopt(ctx context.Context, spec Spec, memoryPath string, process Process) (Machine, error)
	// Processes finds the VMM processes whose disks are below a directory,
	// including those that other processes started.
	Processes(directory string) ([]Process, error)
}

// Spec describes a machine. A snapshot restores only with the CPU count, memory size
// and devices that it was taken with.
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
	// DiskPath is the raw image that backs /dev/vda, written to in place. With
	// Capabilities.Layers it is an EROFS image, the root file system, and is never
	// written to.
	DiskPath string
	// DirectoryPath is an EROFS image of Wrenn's directory; only with Capabilities.Layers.
	// Other guests have the directory from their initramfs.
	DirectoryPath string
	// DiskMiB is how much the guest may change of its disk, in MiB; only with
	// Capabilities.Layers. Other disks have the size of their image.
	DiskMiB int
	// NetworkNamespace is the path of the namespace the VMM runs in.
	NetworkNamespace string
	// TapDevice is the TAP interface in that namespace, already up.
	TapDevice string
	// GuestMAC is the hardware address of eth0 in the guest.
	GuestMAC string
	// Cgroup is the opened directory of the control group, version 2, that the VMM
	// is started in; nil for that of this process. The driver neither closes nor
	// removes it, and Adopt ignores it.
	Cgroup *os.File
	// Metadata is what the guest may read about itself, by name. Drivers without
	// Capabilities.Metadata ignore it.
	Metadata map[string]string
	// NetworkBytesPerSecond limits what the guest sends and, separately, what it
	// receives; zero for no limit. Drivers without Capabilities.NetworkLimit ignore it.
	NetworkBytesPerSecond int64
}

// ErrNoUser is returned for a machine that would run as root.
var ErrNoUser = errors.New("the machine has no user of its own")

// Boot is what a machine is booted from.
type Boot struct {
	// MemoryPath is a sparse file of zeroes, of the guest's memory size.
	MemoryPath    string
	KernelPath    string
	InitramfsPath string
	CommandLine   string
	// LayerPath is a layer that a LayerSaver wrote over the same disk; empty for none.
	// Only with Capabilities.Layers, which ignores the other fields.
	LayerPath string
}

// State is the files of one snapshot, without the disk.
type State struct {
	// MemoryPath holds guest memory, byte for byte; sparse where it is zero. With
	// Capabilities.Layers it holds the pages that are used, of memory and of the layer.
	MemoryPath string
	// DevicesPath holds the VMM's own record of CPUs and devices.
	DevicesPath string
	// MadeBy is what wrote them. Snapshot ignores it.
	MadeBy Maker
}

// LayerSaver is a machine of a driver with Capabilities.Layers.
type LayerSaver interface {
	// SaveLayer writes what the guest, which is paused, has changed of its disk. Nothing
	// is synced to disk.
	SaveLayer(ctx context.Context, path string) error
}

// Machine is one running virtual machine. One goroutine at a time may call its methods;
// Done and ExitReason are safe for concurrent use.
type Machine interface {
	// Pause stops the virtual CPUs and completes disk writes. It is idempotent.
	Pause(ctx context.Context) error
	// Resume starts the virtual CPUs again.
	Resume(ctx context.Context) error
	// Snapshot writes a paused machine's state. into.MemoryPath must already
	// hold a copy of the memory the machine was started from: only pages
	// changed since then are written. With Capabilities.Layers all are, and it need not
	// exist. Nothing is synced to disk.
	Snapshot(ctx context.Context, into State) error
	// Kill ends the machine without asking the guest and waits for its process.
	Kill(ctx context.Context) error
	// Release closes the handles of a machine that runs on, for a later Adopt. No
	// other method may be called afterwards.
	Release()
	// Maker is the MadeBy of its snapshots.
	Maker() Maker
	// Process is the VMM's process.
	Process() Process
	// Done is closed when the VMM's process has ended.
	Done() <-chan struct{}
	// ExitReason says why it ended; it is empty until Done is closed.
	ExitReason() string
}
