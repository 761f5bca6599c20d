package qemu

import (
	"fmt"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Descriptors that QEMU inherits, after standard error.
const (
	monitorFD = 3
	devicesFD = 4
)

// consoleBytes is the size of the ring buffer in memory that keeps the guest's console.
const consoleBytes = 64 << 10

// hardware returns the arguments that make up the machine, the same for boot and
// restore: a snapshot restores only into the hardware that it was taken from.
//
// Debian's cloud kernel finds virtio-mmio devices only through
// ACPI; turning off the PIT and PIC hangs its boot under TCG; the migration
// stream's configuration section is left out because xen-save-devices-state,
// which writes device state without memory, does not write one.
func (d *Driver) hardware(spec vmm.Spec, memoryPath string) []string {
	// Emulated vCPUs run at the same time, each in a thread of its own.
	cpu, accelerator := "max", TCG+",thread=multi"
	if d.accelerator == KVM {
		cpu, accelerator = "host", KVM
	}
	return []string{
		"-name", spec.Name,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		// QEMU opens its files as root, then changes to the machine's user and to an
		// empty root directory. It changes the user after its filter of system calls
		// is on, so the filter must allow that (elevateprivileges). Afterwards QEMU
		// has no capabilities, and no_new_privs keeps it from gaining any.
		"-runas", fmt.Sprintf("%[1]d:%[1]d", spec.User),
		"-chroot", escape(filepath.Join(spec.RunDir, emptyDirectory)),
		"-sandbox", "on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny",
		"-M", "microvm,acpi=on,rtc=on,isa-serial=on,memory-backend=memory,mem-merge=off,dump-guest-core=off,suppress-vmdesc=on",
		"-global", "migration.send-configuration=off",
		// No switch needs to learn where a restored guest is.
		"-global", "migration.announce-rounds=0",
		"-accel", accelerator,
		"-cpu", cpu,
		"-smp", fmt.Sprint(spec.VCPUCount),
		"-m", fmt.Sprintf("%dM", spec.MemoryMiB),
		"-object", fmt.Sprintf("memory-backend-file,id=memory,size=%dM,share=off,mem-path=%s", spec.MemoryMiB, escape(memoryPath)),
		"-blockdev", "driver=file,node-name=disk-file,discard=unmap,filename=" + escape(spec.DiskPath),
		"-blockdev", "driver=raw,node-name=disk,discard=unmap,detect-zeroes=unmap,file=disk-file",
		"-device", "virtio-blk-device,drive=disk",
		"-netdev", "tap,id=network,script=no,downscript=no,ifname=" + escape(spec.TapDevice),
		"-device", "virtio-net-device,netdev=network,mac=" + spec.GuestMAC,
		"-object", "rng-random,id=entropy,filename=/dev/urandom",
		"-device", "virtio-rng-device,rng=entropy",
		"-chardev", fmt.Sprintf("ringbuf,id=console,size=%d", consoleBytes),
		"-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=monitor,server=on,wait=off,fd=%d", monitorFD),
		"-mon", "chardev=monitor,mode=control",
	}
}

// escape doubles commas, at which QEMU splits its options.
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }
