package hostagent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/hostagent/choice"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// imageSource returns the guest's image, and builds it first if necessary, which takes
// minutes.
type imageSource func(context.Context) (template.Image, error)

// chooseAccelerator returns KVM if a guest boots under it, and software emulation
// otherwise. It boots a guest, and needs the image for that, only if no remembered answer
// is valid for this machine, kernel and QEMU.
func chooseAccelerator(ctx context.Context, config Config, images imageSource, known choice.Choice) (choice.Choice, error) {
	machine, err := describeMachine(ctx)
	if err != nil {
		return choice.Choice{}, err
	}
	boot, err := bootID()
	if err != nil {
		return choice.Choice{}, err
	}
	if known.Holds(machine, boot) {
		return known, nil
	}
	image, err := images(ctx)
	if err != nil {
		return choice.Choice{}, err
	}
	config.Progress("probing for KVM by booting a guest on it")
	answer := choice.Choice{Machine: machine, Accelerator: qemu.KVM, Driver: known.Driver}
	guest := vmm.Boot{KernelPath: image.KernelPath, InitramfsPath: image.InitramfsPath, CommandLine: template.KernelCommandLine}
	err = qemu.Probe(ctx, guest)
	var refusal *qemu.ProbeError
	switch {
	case err == nil:
		config.Progress("using KVM")
	case ctx.Err() != nil:
		return choice.Choice{}, ctx.Err()
	case errors.As(err, &refusal):
		answer.Accelerator, answer.Reason = qemu.TCG, refusal.Error()
		if refusal.TimedOut {
			answer.BootID = boot
		}
		config.Progress("using software emulation, which is slower: " + refusal.Summary)
		config.Log.WarnContext(ctx, "KVM is not used", "reason", refusal.Error())
	default:
		return choice.Choice{}, err
	}
	return answer, nil
}

// bootID identifies this boot of the machine.
// Source: proc_sys_kernel(5).
func bootID() (string, error) {
	content, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("identify the machine's boot: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// describeMachine returns a digest of everything that the answer depends on.
func describeMachine(ctx context.Context) (string, error) {
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return "", fmt.Errorf("ask for the kernel's version: %w", err)
	}
	version, err := qemu.Version(ctx)
	if err != nil {
		return "", err
	}
	_, deviceErr := os.Stat("/dev/kvm")
	inputs := fmt.Sprintf("%s|%s|%s|%t", system.Release[:], system.Version[:], version, deviceErr == nil)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(inputs))), nil
}

// defaultVCPUCount is one for emulated guests, of which each vCPU takes as much of the
// host as several others, and two for others.
func defaultVCPUCount(accelerator string) int {
	if accelerator == qemu.TCG {
		return 1
	}
	return 2
}
