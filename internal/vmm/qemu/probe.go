package qemu

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// With ProbeOption on the kernel's command line the initramfs prints ProbeMarker and
// powers the machine off.
const (
	ProbeMarker = "wrenn-probe-ok"
	ProbeOption = "wrenn.probe"
)

// probeTimeout is generous: a guest that works under KVM is up in a second.
const probeTimeout = 20 * time.Second

// ProbeError says why KVM is not used, in short and in detail.
type ProbeError struct {
	Summary string
	Detail  string
	// TimedOut: the guest may boot; the machine may have been busy.
	TimedOut bool
}

func (e *ProbeError) Error() string { return e.Summary + ": " + e.Detail }

const doesNotBoot = "a guest does not boot under this machine's KVM"

// Probe boots a guest under KVM. On some machines /dev/kvm exists and stock kernels hang
// under it. An error that means so is a *ProbeError.
func Probe(ctx context.Context, boot vmm.Boot) error {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return &ProbeError{Summary: "KVM is not available", Detail: err.Error()}
	}
	device.Close()
	binary, err := exec.LookPath(Binary)
	if err != nil {
		return fmt.Errorf("%s is not installed; run: apt-get install qemu-system-x86", Binary)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var output bytes.Buffer
	command := probeCommand(ctx, binary, boot)
	command.Stdout, command.Stderr = &output, &output
	err = thread.Run(command.Run) // it ends with the thread that started it
	switch {
	case strings.Contains(output.String(), ProbeMarker):
		return nil
	case ctx.Err() != nil:
		return &ProbeError{Summary: doesNotBoot, Detail: fmt.Sprintf("it printed nothing for %s", probeTimeout), TimedOut: true}
	case err != nil:
		return &ProbeError{Summary: doesNotBoot, Detail: fmt.Sprintf("%v: %s", err, lastLine(output.String()))}
	default:
		return &ProbeError{Summary: doesNotBoot, Detail: "it ended and printed nothing"}
	}
}

// probeCommand ends with the thread that starts it, and so with this process: a guest
// that hangs would never end by itself.
func probeCommand(ctx context.Context, binary string, boot vmm.Boot) *exec.Cmd {
	command := exec.CommandContext(ctx, binary,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-M", "microvm,acpi=on,rtc=on,isa-serial=on",
		"-accel", KVM, "-cpu", "host", "-smp", "1", "-m", "256M",
		"-kernel", boot.KernelPath, "-initrd", boot.InitramfsPath,
		"-append", boot.CommandLine+" "+ProbeOption,
		"-serial", "stdio")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return command
}

// Version returns QEMU's version as it prints it. A snapshot restores only with the
// version that took it.
func Version(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, Binary, "-version").Output()
	if err != nil {
		return "", fmt.Errorf("ask QEMU for its version: %w", err)
	}
	first, _, _ := strings.Cut(string(output), "\n")
	return strings.TrimSpace(first), nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
