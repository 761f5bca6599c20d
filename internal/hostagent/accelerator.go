package hostagent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// choice is the remembered answer of a probe, valid while Machine is the same.
type choice struct {
	Machine     string `json:"machine"`
	Accelerator string `json:"accelerator"`
	Reason      string `json:"reason,omitempty"`
	// BootID is set if the answer is valid for one boot of the machine only.
	BootID string `json:"bootId,omitempty"`
	// Driver is the driver that made this data directory's snapshots; empty, as in older
	// files, is QEMU.
	Driver string `json:"driver,omitempty"`
}

// imageSource returns the guest's image, and builds it first if necessary, which takes
// minutes.
type imageSource func(context.Context) (template.Image, error)

// chooseAccelerator returns KVM if a guest boots under it, and software emulation
// otherwise. It boots a guest, and needs the image for that, only if no remembered answer
// is valid for this machine, kernel and QEMU.
func chooseAccelerator(ctx context.Context, config Config, images imageSource, known choice) (choice, error) {
	machine, err := describeMachine(ctx)
	if err != nil {
		return choice{}, err
	}
	boot, err := bootID()
	if err != nil {
		return choice{}, err
	}
	if known.holds(machine, boot) {
		return known, nil
	}
	image, err := images(ctx)
	if err != nil {
		return choice{}, err
	}
	config.Progress("probing for KVM by booting a guest on it")
	answer := choice{Machine: machine, Accelerator: qemu.KVM, Driver: known.Driver}
	guest := vmm.Boot{KernelPath: image.KernelPath, InitramfsPath: image.InitramfsPath, CommandLine: template.KernelCommandLine}
	err = qemu.Probe(ctx, guest)
	var refusal *qemu.ProbeError
	switch {
	case err == nil:
		config.Progress("using KVM")
	case ctx.Err() != nil:
		return choice{}, ctx.Err()
	case errors.As(err, &refusal):
		answer.Accelerator, answer.Reason = qemu.TCG, refusal.Error()
		if refusal.TimedOut {
			answer.BootID = boot
		}
		config.Progress("using software emulation, which is slower: " + refusal.Summary)
		config.Log.WarnContext(ctx, "KVM is not used", "reason", refusal.Error())
	default:
		return choice{}, err
	}
	return answer, nil
}

// holds reports whether a remembered answer is valid for this machine and boot. A probe
// that timed out may succeed at another time, so it is repeated after the machine's next
// boot. It is not repeated before that: each probe takes long where KVM hangs, and
// sandboxes paused under emulation resume only under emulation.
func (c choice) holds(machine, boot string) bool {
	return c.Machine != "" && c.Machine == machine && (c.BootID == "" || c.BootID == boot)
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

func readChoice(path string) (choice, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return choice{}, nil
	}
	if err != nil {
		return choice{}, err
	}
	var known choice
	if err := json.Unmarshal(content, &known); err != nil {
		return choice{}, fmt.Errorf("%s: %w", path, err)
	}
	return known, nil
}

func writeChoice(path string, answer choice) error {
	content, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	if err := disk.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("remember the accelerator: %w", err)
	}
	return nil
}

// defaultVCPUCount is one for emulated guests, of which each vCPU takes as much of the
// host as several others, and two for others.
func defaultVCPUCount(accelerator string) int {
	if accelerator == qemu.TCG {
		return 1
	}
	return 2
}
