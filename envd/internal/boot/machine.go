package boot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/module"
)

// prepareMachine mounts and sets what a machine has that runs. A step that fails says so
// on the console, and the boot goes on.
func prepareMachine() {
	unix.Umask(0) // modes are as they are written here
	complain(mountAll())
	complain(makeDevices())
	complain(makePlaces("/"))
	unix.Umask(defaultUmask)
	complain(serveModules())
	complain(applySysctls("/", "/proc/sys"))
	complain(setHostName())
	network, err := ReadNetwork()
	if err == nil {
		err = network.setUp()
	}
	complain(err)
}

const defaultUmask = 0o022

// serveModules has the kernel ask Wrenn's program for modules, where the image does not
// have them.
func serveModules() error {
	if _, err := os.Stat(module.Bundle); err != nil {
		return nil //nolint:nilerr // the image has modules and its own program
	}
	if err := os.WriteFile("/proc/sys/kernel/modprobe", []byte(Directory+"/bin/modprobe"), 0); err != nil {
		return fmt.Errorf("serve the kernel's modules: %w", err)
	}
	return nil
}

// setHostName gives the machine the name in /etc/hostname, until the host names it.
func setHostName() error {
	const usual, longest = "sandbox", 64 // the kernel's bound
	content, err := readBounded("/etc/hostname", maxSysctlBytes)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		complain(err)
	}
	name, _, _ := strings.Cut(string(bytes.TrimSpace(content)), "\n")
	name = cmp.Or(strings.TrimSpace(name), usual)
	return unix.Sethostname([]byte(name[:min(len(name), longest)]))
}

// tmpfilesTimeout bounds a program of the image's.
const tmpfilesTimeout = 20 * time.Second

// runTmpfiles has systemd's program, where the image has it, make the directories of the
// packages that are installed. It removes nothing.
func runTmpfiles() error {
	const name = "systemd-tmpfiles"
	program, err := exec.LookPath(name)
	if err != nil {
		return nil //nolint:nilerr // most images have none
	}
	ctx, cancel := context.WithTimeout(context.Background(), tmpfilesTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, "--create", "--boot", "--exclude-prefix=/dev", "--exclude-prefix=/proc", "--exclude-prefix=/sys")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("run the image's %s: %w", name, err)
	}
	return nil
}
