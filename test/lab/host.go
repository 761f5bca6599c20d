package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// host is the lab's machine, switched off.
type host struct {
	kernel, initramfs string
	system            string // disk with all that runs
	scratch           string // disk for what the tests write
}

// statusMark is how the machine tells, on its console, how the suites ended.
const statusMark = "wrenn-lab-status "

// Size of the machine: room for three guests of the suites at once.
const (
	hostCPUs      = 2
	hostMemoryMiB = 3072
)

// arguments make a machine of QEMU's that has an AMD CPU with nested paging and
// no network. Each virtual CPU gets a thread.
func (h host) arguments() []string {
	commandLine := "console=ttyS0 quiet loglevel=1 reboot=t panic=-1"
	// On a busy machine an emulated kernel fails to measure this itself.
	if rate := qemu.CounterKHz(); rate > 0 {
		commandLine += fmt.Sprintf(" tsc_early_khz=%d", rate)
	}
	return []string{
		"-name", "wrenn-lab", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-M", "microvm,acpi=on,rtc=on,isa-serial=on",
		"-accel", "tcg,thread=multi", "-cpu", "EPYC-Milan,+svm,+npt",
		"-smp", fmt.Sprint(hostCPUs), "-m", fmt.Sprintf("%dM", hostMemoryMiB),
		"-kernel", h.kernel, "-initrd", h.initramfs, "-append", commandLine,
		"-drive", "if=none,id=system,format=raw,cache=unsafe,file=" + h.system,
		"-device", "virtio-blk-device,drive=system",
		"-drive", "if=none,id=scratch,format=raw,cache=unsafe,discard=unmap,file=" + h.scratch,
		"-device", "virtio-blk-device,drive=scratch",
		"-object", "rng-random,id=entropy,filename=/dev/urandom",
		"-device", "virtio-rng-device,rng=entropy",
		"-serial", "stdio",
	}
}

// run boots the machine, passes on what it says and waits for its end. It
// returns whether all suites passed.
func (h host) run(ctx context.Context, output io.Writer) (bool, error) {
	command := exec.CommandContext(ctx, qemu.Binary, h.arguments()...)
	const outputGrace = 5 * time.Second
	command.WaitDelay = outputGrace
	var complaints strings.Builder
	command.Stderr = &complaints
	console, err := command.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := command.Start(); err != nil {
		return false, fmt.Errorf("boot the lab: %w", err)
	}
	status, relayErr := relay(console, output)
	err = command.Wait()
	switch {
	case ctx.Err() != nil:
		return false, fmt.Errorf("the lab did not end in time: %w", ctx.Err())
	case err != nil:
		return false, fmt.Errorf("boot the lab: %w: %s", err, strings.TrimSpace(complaints.String()))
	case relayErr != nil:
		return false, relayErr
	case status == "":
		return false, errors.New("the lab ended before its tests did")
	}
	return status == "0", nil
}

// relay copies the console's lines and finds the status among them.
func relay(console io.Reader, output io.Writer) (status string, err error) {
	lines := bufio.NewScanner(console)
	const longestLine = 1 << 20
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if found, isStatus := strings.CutPrefix(line, statusMark); isStatus {
			status = found
			output = io.Discard // the rest is only the kernel's
		}
		if _, err := fmt.Fprintln(output, line); err != nil {
			return status, err
		}
	}
	return status, lines.Err()
}
