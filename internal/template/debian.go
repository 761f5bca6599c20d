package template

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tools are the programs a build needs and the packages that have them.
var tools = map[string]string{
	"apt-get":    "apt",
	"dpkg-deb":   "dpkg",
	"mmdebstrap": "mmdebstrap",
	"mkfs.ext4":  "e2fsprogs",
	"debugfs":    "e2fsprogs",
}

func checkTools() error {
	if os.Geteuid() != 0 {
		return errors.New("building a guest image needs root")
	}
	var missing []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil && !slices.Contains(missing, pkg) {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("programs are missing; run: apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}

// run runs one program to its end; an error holds the end of what it said.
func run(ctx context.Context, directory, name string, arguments ...string) (string, error) {
	command := newCommand(ctx, directory, name, arguments...)
	var output, complaints bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		return "", commandFailure(ctx, name, err, complaints.String())
	}
	return output.String(), nil
}

func newCommand(ctx context.Context, directory, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = directory
	command.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"SOURCE_DATE_EPOCH=" + sourceDateEpoch,
	}
	for _, variable := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value, set := os.LookupEnv(variable); set {
			command.Env = append(command.Env, variable+"="+value)
		}
	}
	return command
}

func commandFailure(ctx context.Context, name string, err error, said string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, ctx.Err())
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	const tailLines = 5
	tail := strings.Join(lines[max(0, len(lines)-tailLines):], "; ")
	return fmt.Errorf("%s: %w: %s", name, err, tail)
}

// fetchKernel downloads the kernel and busybox and unpacks both, without
// installing anything on the host. It returns where they were unpacked.
func fetchKernel(ctx context.Context, release release, directory string) (string, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return "", err
	}
	kernel, err := resolveKernel(ctx, release)
	if err != nil {
		// A machine whose package lists were never read knows no kernel.
		if _, updateErr := run(ctx, "/", "apt-get", "update"); updateErr != nil {
			return "", errors.Join(err, updateErr)
		}
		if kernel, err = resolveKernel(ctx, release); err != nil {
			return "", err
		}
	}
	wanted := append(kernel, "busybox-static")
	download := append([]string{"-o", "APT::Sandbox::User=root", "download"}, wanted...)
	if _, err := run(ctx, directory, "apt-get", download...); err != nil {
		if _, updateErr := run(ctx, "/", "apt-get", "update"); updateErr != nil {
			return "", errors.Join(err, updateErr)
		}
		if _, err := run(ctx, directory, "apt-get", download...); err != nil {
			return "", err
		}
	}
	archives, err := filepath.Glob(filepath.Join(directory, "*.deb"))
	if err != nil {
		return "", err
	}
	unpacked := filepath.Join(directory, "unpacked")
	for _, archive := range archives {
		if _, err := run(ctx, "/", "dpkg-deb", "-x", archive, unpacked); err != nil {
			return "", err
		}
	}
	return unpacked, nil
}

// resolveKernel finds the packages that the metapackage stands for: the
// kernel, and where a distribution keeps them apart, its modules.
func resolveKernel(ctx context.Context, release release) ([]string, error) {
	output, err := run(ctx, "/", "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
		"--no-breaks", "--no-replaces", "--no-enhances", kernelPackages[release.id])
	if err != nil {
		return nil, err
	}
	var packages []string
	for line := range strings.Lines(output) {
		name := strings.TrimSpace(line)
		isKernel := strings.HasPrefix(name, "linux-image-") || strings.HasPrefix(name, "linux-modules-")
		if line != "" && line[0] != ' ' && isKernel && name != kernelPackages[release.id] {
			packages = append(packages, name)
		}
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("package %s is not known; run: apt-get update", kernelPackages[release.id])
	}
	return packages, nil
}

// installKernel copies the one kernel that was unpacked.
func installKernel(unpacked, target string) error {
	kernels, err := filepath.Glob(filepath.Join(unpacked, "boot", "vmlinuz-*"))
	if err != nil {
		return err
	}
	if len(kernels) != 1 {
		return fmt.Errorf("the kernel package holds %d kernels, want 1", len(kernels))
	}
	content, err := os.ReadFile(kernels[0])
	if err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o644)
}

// bootstrap installs the guest's packages into an empty directory.
func bootstrap(ctx context.Context, release release, root string, progress func(string)) error {
	arguments := []string{
		"--variant=minbase", "--mode=root", "--format=directory",
		"--include=" + strings.Join(guestPackages, ","),
	}
	for _, excluded := range []string{"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*"} {
		arguments = append(arguments, "--dpkgopt=path-exclude="+excluded)
	}
	arguments = append(arguments,
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		`--customize-hook=chroot "$1" useradd --uid 1000 --create-home --shell /bin/bash user`,
		release.codename, root)
	if release.id == "ubuntu" {
		arguments = append([]string{"--components=main,universe"}, arguments...)
	}
	command := newCommand(ctx, "/", "mmdebstrap", arguments...)
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("mmdebstrap: %w", err)
	}
	said := relay(output, progress)
	if err := command.Wait(); err != nil {
		return commandFailure(ctx, "mmdebstrap", err, said)
	}
	return nil
}

// relay passes mmdebstrap's own steps on as progress and keeps its words.
func relay(output io.Reader, progress func(string)) string {
	var said strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if step, found := strings.CutPrefix(lines.Text(), "I: "); found {
			progress("  " + step)
		}
	}
	return said.String()
}
