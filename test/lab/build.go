package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/template"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/qemu"
	"git.omukk.dev/wrenn/sandbox/internal/vmm/vmmtest"
)

//go:embed init.sh
var initScript []byte

const (
	systemMiB    = 3072
	scratchBytes = 8 << 30
)

// build makes the lab's disks and its kernel in a directory.
func build(ctx context.Context, o options, directory string) (host, error) {
	h := host{
		kernel: filepath.Join(directory, "vmlinuz"), initramfs: filepath.Join(directory, "initramfs.cpio"),
		system: filepath.Join(directory, "system.ext4"), scratch: filepath.Join(directory, "scratch.xfs"),
		order: filepath.Join(directory, "order"), limits: o.limits,
	}
	packages := filepath.Join(directory, "packages")
	if err := os.Mkdir(packages, 0o755); err != nil {
		return host{}, err
	}
	kernel, err := template.FetchKernel(ctx, packages)
	if err != nil {
		return host{}, err
	}
	agent, err := os.ReadFile(o.envdPath)
	if err != nil {
		return host{}, err
	}
	if err := kernel.WriteBoot(h.kernel, h.initramfs, agent); err != nil {
		return host{}, err
	}
	root := tree{directory: filepath.Join(directory, "root")}
	root.layOut()
	root.programs(ctx, kernel.Busybox())
	root.modules(ctx, kernel.Modules())
	root.suites(o)
	root.guestImage(ctx, o)
	if root.err != nil {
		return host{}, root.err
	}
	if err := runProgram(ctx, "mkfs.ext4", "-q", "-F", "-d", root.directory, "-m", "0", "-E", "lazy_itable_init=1", h.system, fmt.Sprintf("%dM", systemMiB)); err != nil {
		return host{}, err
	}
	if err := disk.CreateSparse(h.scratch, scratchBytes); err != nil {
		return host{}, err
	}
	return h, runProgram(ctx, "mkfs.xfs", "-q", "-m", "reflink=1", h.scratch)
}

// tree is the root file system of the lab's host. After an error its methods do
// nothing.
type tree struct {
	directory string
	err       error
}

func (t *tree) do(step func() error) {
	if t.err == nil {
		t.err = step()
	}
}

func (t *tree) path(name string) string { return filepath.Join(t.directory, name) }

// layOut makes the directories of a Debian system and installs the init script.
func (t *tree) layOut() {
	for _, name := range []string{
		"dev", "etc", "lab/image", "proc", "root", "run", "sys", "tmp", "var/tmp",
		"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/share",
	} {
		t.do(func() error { return os.MkdirAll(t.path(name), 0o755) })
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		t.do(func() error { return os.Symlink("usr/"+name, t.path(name)) })
	}
	t.do(func() error { return os.WriteFile(t.path("sbin/init"), initScript, 0o755) })
}

// programs installs busybox, QEMU, and Firecracker where this machine has it.
func (t *tree) programs(ctx context.Context, busybox string) {
	t.copy(busybox, "/bin/busybox")
	for _, name := range []string{
		"awk", "cat", "dd", "env", "ip", "ln", "mkdir", "modprobe", "mount", "nproc", "sh", "sleep", "true", "uname",
	} {
		t.do(func() error { return os.Symlink("busybox", t.path("bin/"+name)) })
	}
	t.do(func() error { return os.Symlink("../bin/busybox", t.path("sbin/modprobe")) })
	t.program(ctx, qemu.Binary)
	for _, firmware := range []string{"/usr/share/qemu", "/usr/share/seabios"} {
		t.do(func() error { return runProgram(ctx, "cp", "-a", firmware, t.path("usr/share")) })
	}
	for _, name := range []string{"firecracker", "jailer"} {
		if _, err := exec.LookPath(name); err == nil {
			t.program(ctx, name)
		}
	}
}

// program installs a program of this machine with the libraries that it is linked to.
func (t *tree) program(ctx context.Context, name string) {
	t.do(func() error {
		path, err := exec.LookPath(name)
		if err != nil {
			return fmt.Errorf("%s is not installed: %w", name, err)
		}
		t.copy(path, "/usr/bin/"+name)
		// A program without libraries makes ldd fail.
		listed, err := exec.CommandContext(ctx, "ldd", path).Output()
		var refused *exec.ExitError
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		for word := range strings.FieldsSeq(string(listed)) {
			if strings.HasPrefix(word, "/") {
				t.copy(word, word)
			}
		}
		return nil
	})
}

// copy installs a file of this machine, following links.
func (t *tree) copy(source, target string) {
	t.do(func() error {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(t.path(target)), 0o755); err != nil {
			return err
		}
		return os.WriteFile(t.path(target), content, 0o755)
	})
}

// modules installs the kernel's modules and makes its lists of them.
func (t *tree) modules(ctx context.Context, directory string) {
	t.do(func() error { return os.Rename(directory, t.path("usr/lib/modules")) })
	t.do(func() error {
		releases, err := os.ReadDir(t.path("usr/lib/modules"))
		if err != nil {
			return err
		}
		for _, release := range releases {
			if err := runProgram(ctx, t.path("bin/busybox"), "depmod", "-b", t.directory, release.Name()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (t *tree) suites(o options) {
	for _, suite := range o.suites {
		t.copy(suite, filepath.Join("lab", filepath.Base(suite)))
	}
}

// guestImage installs the image of the suites' guests.
func (t *tree) guestImage(ctx context.Context, o options) {
	t.do(func() error {
		progress := func(line string) { fmt.Println("lab:", line) }
		image, err := template.BuildImage(ctx, vmmtest.ImageOptions(o.envdPath, progress, slog.Default()))
		if err != nil {
			return err
		}
		directory := t.path("lab/image")
		return errors.Join(
			disk.CopySparse(image.KernelPath, filepath.Join(directory, vmmtest.KernelFile)),
			disk.CopySparse(image.InitramfsPath, filepath.Join(directory, vmmtest.InitramfsFile)),
			image.WriteDisk(ctx, filepath.Join(directory, vmmtest.RootfsFile)),
		)
	})
}

// runProgram runs one program to its end; an error holds its output.
func runProgram(ctx context.Context, name string, arguments ...string) error {
	output, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(output)))
	}
	return nil
}
