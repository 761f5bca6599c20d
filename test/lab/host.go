package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
)

// host is the lab's machine, switched off.
type host struct {
	kernel, initramfs string
	system            string // disk with all that runs
	scratch           string // empty disk for what the tests write
	order             string // disk with the order, as one line
	limits            limits
}

// limits end a host that hangs.
type limits struct {
	total   time.Duration // for the whole of its life
	silence time.Duration // between two lines on its console
}

// errHung is returned for a host that was ended because of its limits.
var errHung = errors.New("the host hangs")

// hostMemoryMiB has room for three guests of the suites at once. The host has one CPU:
// with two, each emulated by a thread of its own, it was seen to hang in a soft lockup
// when the machine was busy.
const (
	hostCPUs      = 1
	hostMemoryMiB = 3072
)

// dieBefore is how much before its host a suite gives up, and prints where it is.
const dieBefore = time.Minute

// commandLine makes a machine of QEMU's that has an AMD CPU with nested paging and
// no network, and writes the order to its disk. What
// the machine writes to its disks is dropped at its end.
func (h host) commandLine(o order) ([]string, error) {
	line := strings.Join(append([]string{o.suite}, o.flags(h.limits.total-dieBefore)...), " ") + "\n"
	const sectors = 4096 // bytes; a disk is a whole number of sectors
	if len(line) > sectors {
		return nil, fmt.Errorf("an order of %d bytes is too long", len(line))
	}
	if err := os.WriteFile(h.order, append([]byte(line), bytes.Repeat([]byte("\n"), sectors-len(line))...), 0o600); err != nil {
		return nil, fmt.Errorf("write the order: %w", err)
	}
	kernelLine := "console=ttyS0 quiet loglevel=1 reboot=t panic=-1 wrenn.init=/sbin/init"
	// On a busy machine an emulated kernel fails to measure this itself.
	if rate := qemu.CounterKHz(); rate > 0 {
		kernelLine += fmt.Sprintf(" tsc_early_khz=%d", rate)
	}
	command := []string{
		qemu.Binary,
		"-name", "wrenn-lab", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-M", "microvm,acpi=on,rtc=on,isa-serial=on",
		"-accel", "tcg", "-cpu", "EPYC-Milan,+svm,+npt",
		"-smp", fmt.Sprint(hostCPUs), "-m", fmt.Sprintf("%dM", hostMemoryMiB),
		"-kernel", h.kernel, "-initrd", h.initramfs, "-append", kernelLine,
		"-object", "rng-random,id=entropy,filename=/dev/urandom",
		"-device", "virtio-rng-device,rng=entropy",
		"-serial", "stdio",
	}
	for _, disk := range []struct{ name, path string }{{"system", h.system}, {"scratch", h.scratch}, {"order", h.order}} {
		command = append(command,
			"-drive", "if=none,id="+disk.name+",format=raw,cache=unsafe,snapshot=on,discard=unmap,file="+disk.path,
			"-device", "virtio-blk-device,drive="+disk.name)
	}
	return command, nil
}

// runHost boots a machine, passes on what it prints and waits for its end. An error
// holds the end of what it printed.
func runHost(ctx context.Context, commandLine []string, limits limits, output io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hang := func(what string, limit time.Duration) func() {
		return func() { cancel(fmt.Errorf("%w: %s for %s", errHung, what, limit)) }
	}
	defer time.AfterFunc(limits.total, hang("it has run", limits.total)).Stop()
	silence := time.AfterFunc(limits.silence, hang("it has printed nothing", limits.silence))
	defer silence.Stop()

	command := exec.CommandContext(ctx, commandLine[0], commandLine[1:]...)
	const outputGrace = 5 * time.Second
	command.WaitDelay = outputGrace
	var complaints strings.Builder
	command.Stderr = &complaints
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("boot the host: %w", err)
	}
	c := console{output: output, heard: func() { silence.Reset(limits.silence) }}
	followErr := c.follow(stdout)
	err = command.Wait()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		err = fmt.Errorf("run the host: %w: %s", err, strings.TrimSpace(complaints.String()))
	case followErr != nil:
		err = fmt.Errorf("read the host's console: %w", followErr)
	case c.status == "":
		err = errors.New("the host ended before its tests did")
	case c.status == "0":
		return nil
	default:
		return errors.New("some cases failed")
	}
	return fmt.Errorf("%w; the end of its console:\n%s", err, c.end())
}
