package qemu

import (
	"fmt"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// File descriptors a QEMU process is started with, after standard error.
const (
	monitorFD = 3
	devicesFD = 4
)

// consoleBytes is how much of the guest's console is kept, in memory: a guest
// that floods it overwrites its own words and costs nothing else.
const consoleBytes = 64 << 10

// hardware returns the arguments that make up the machine. A snapshot restores
// only into the same hardware, so this is one list for boot and restore.
//
// Facts behind it: Debian's cloud kernel finds virtio-mmio devices only through
// ACPI; turning off the PIT and PIC hangs its boot under TCG; the migration
// stream's configuration section is left out because xen-save-devices-state,
// which writes device state without memory, does not write one.
func (d *Driver) hardware(spec vmm.Spec, memoryPath string) []string {
	cpu := "max"
	if d.accelerator == KVM {
		cpu = "host"
	}
	return []string{
		"-name", spec.Name,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		// QEMU opens what it needs as root and then is its own user, in an empty
		// directory: what breaks out of a guest finds nothing there. It changes
		// its user after the filter of system calls is on, so that must let it;
		// afterwards it has no rights left to do it with, nor ways to gain any.
		"-runas", fmt.Sprintf("%[1]d:%[1]d", spec.User),
		"-chroot", escape(filepath.Join(spec.RunDir, emptyDirectory)),
		"-sandbox", "on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny",
		"-M", "microvm,acpi=on,rtc=on,isa-serial=on,memory-backend=memory,mem-merge=off,dump-guest-core=off,suppress-vmdesc=on",
		"-global", "migration.send-configuration=off",
		// No switch has to learn that a restored guest has moved.
		"-global", "migration.announce-rounds=0",
		"-accel", d.accelerator,
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

// escape doubles commas: QEMU splits its options at single ones.
func escape(value string) string { return strings.ReplaceAll(value, ",", ",,") }
