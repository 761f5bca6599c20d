package doctor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/postgres"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/firecracker"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// kvmCreateVM is KVM_CREATE_VM of linux/kvm.h.
const kvmCreateVM = 0xAE01

func checkSystem(context.Context, Options) Result {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fail("use an x86-64 Linux machine", "Wrenn does not run on %s/%s yet", runtime.GOOS, runtime.GOARCH)
	}
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return warn("", "the kernel's version is unknown: %v", err)
	}
	return ok("Linux %s, x86-64", unix.ByteSliceToString(system.Release[:]))
}

func checkRoot(context.Context, Options) Result {
	if os.Geteuid() != 0 {
		return fail("run it with sudo", "not running as root, which the networks and mounts of VMs need")
	}
	// Root of a container may lack capabilities.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return warn("", "root, but its capabilities are unknown: %v", err)
	}
	for name, capability := range map[string]uint{"CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN} {
		if data[0].Effective&(1<<capability) == 0 {
			return fail("run it on the machine itself or in a privileged container", "root without %s", name)
		}
	}
	return ok("root")
}

func checkPackages(_ context.Context, options Options) Result {
	skip := ""
	if options.ExternalDatabase {
		skip = "postgresql"
	}
	missing := missingPackages(skip)
	if len(missing) > 0 {
		list := strings.Join(missing, " ")
		return fail("run: apt-get install -y --no-install-recommends "+list, "not installed: %s", list)
	}
	return ok("all Debian packages are installed")
}

func checkQEMU(ctx context.Context, _ Options) Result {
	const fix = "run: apt-get install -y qemu-system-x86"
	version, err := exec.CommandContext(ctx, qemu.Binary, "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return fail(fix, "%s is not installed", qemu.Binary)
	}
	if err != nil {
		return fail(fix, "%s does not run: %v", qemu.Binary, err)
	}
	machines, err := exec.CommandContext(ctx, qemu.Binary, "-machine", "help").Output()
	if err != nil || !strings.Contains(string(machines), "\nmicrovm ") {
		return fail(fix, "this QEMU has no microvm machine")
	}
	first, _, _ := strings.Cut(string(version), "\n")
	return ok("%s", first)
}

// checkKVM never fails: without KVM guests are emulated. It does not boot a guest under
// KVM; the host agent does.
func checkKVM(context.Context, Options) Result {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return warn("turn on virtualisation in the firmware or, on a virtual machine, nested virtualisation; then run: modprobe kvm_intel || modprobe kvm_amd",
			"no /dev/kvm: guests are emulated, which is slower")
	}
	if errors.Is(err, os.ErrPermission) {
		return forRoot("/dev/kvm")
	}
	if err != nil {
		return warn("", "/dev/kvm does not open (%v): guests are emulated, which is slower", err)
	}
	defer device.Close()
	machine, err := unix.IoctlRetInt(int(device.Fd()), kvmCreateVM)
	if err != nil {
		return warn("", "/dev/kvm makes no virtual machine (%v): guests are emulated, which is slower", err)
	}
	if err := unix.Close(machine); err != nil {
		return warn("", "/dev/kvm: %v", err)
	}
	return ok("/dev/kvm opens; the first start boots a guest under it, and emulates guests if that fails")
}

// checkFirecracker fails only if the configuration asks for Firecracker: QEMU runs
// the guests otherwise.
func checkFirecracker(_ context.Context, options Options) Result {
	const fix = "install firecracker and jailer from a release of Firecracker, which are statically linked"
	err := firecracker.CheckInstalled()
	switch {
	case err == nil:
		return ok("%s and %s are installed", firecracker.Binary, firecracker.Jailer)
	case options.Driver == firecracker.Name:
		return fail(fix+", or unset WRENN_DRIVER", "WRENN_DRIVER is firecracker: %v", err)
	case errors.Is(err, firecracker.ErrNotInstalled):
		return ok("not installed: QEMU runs the guests")
	default:
		return warn(fix, "%v; QEMU runs the guests", err)
	}
}

func checkPostgreSQL(_ context.Context, options Options) Result {
	if options.ExternalDatabase {
		return ok("DATABASE_URL is set: no private PostgreSQL is needed")
	}
	installation, err := postgres.FindInstallation()
	if err != nil {
		return fail("run: apt-get install -y postgresql", "no server programs in /usr/lib/postgresql")
	}
	return ok("PostgreSQL %d in %s", installation.Major, installation.Bin)
}

func checkEnvd(ctx context.Context, options Options) Result {
	const fix = "run: make build, or set WRENN_ENVD to its path"
	version, err := exec.CommandContext(ctx, options.EnvdPath, "-version").Output()
	if errors.Is(err, os.ErrNotExist) {
		return fail(fix, "the guest agent is not at %s", options.EnvdPath)
	}
	if err != nil {
		return fail(fix, "the guest agent %s does not run: %v", options.EnvdPath, err)
	}
	return ok("%s in %s", strings.TrimSpace(string(version)), options.EnvdPath)
}
