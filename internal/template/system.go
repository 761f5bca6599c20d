package template

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// guestFiles is what makes a Debian root file system a sandbox.
//
//go:embed guest
var guestFiles embed.FS

// release is the distribution that host and guest share: packages come from
// wherever the host's own do.
type release struct {
	id       string // "debian" or "ubuntu"
	codename string // such as "bookworm"
}

// kernelPackages names the smallest kernel for virtual machines that each
// distribution has. They depend on the package with the kernel in it.
var kernelPackages = map[string]string{
	"debian": "linux-image-cloud-amd64",
	"ubuntu": "linux-image-virtual",
}

// guestPackages are in every sandbox. Node.js costs 10 s and 120 MB of the
// image, and nothing at a sandbox's start.
var guestPackages = []string{
	"busybox-static", "ca-certificates", "curl", "git", "iproute2", "less", "nodejs",
	"procps", "python3", "python3-pip", "python3-venv", "socat", "sudo",
}

// system is the image without the guest agent: kernel, initramfs and Debian.
type system struct {
	release release
	diskMiB int
	network string // the guest's network set-up, an ip(8) batch
	hash    string
}

// describeSystem hashes what the system is made of. Versions of packages are
// not part of it: a cached image serves until something of ours changes.
func describeSystem(release release, diskMiB int) (system, error) {
	s := system{release: release, diskMiB: diskMiB}
	var err error
	if s.network, err = renderNetwork(); err != nil {
		return system{}, err
	}
	inputs := []string{fmt.Sprint(formatVersion), release.id, release.codename, fmt.Sprint(diskMiB), s.network}
	inputs = append(inputs, guestPackages...)
	inputs = append(inputs, initramfsModules...)
	inputs = append(inputs, guestModules...)
	err = fs.WalkDir(guestFiles, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := guestFiles.ReadFile(name)
		inputs = append(inputs, name, string(content))
		return err
	})
	if err != nil {
		return system{}, err
	}
	s.hash = hashStrings(inputs...)
	return s, nil
}

func renderNetwork() (string, error) {
	text, err := template.ParseFS(guestFiles, "guest/network.tmpl")
	if err != nil {
		return "", err
	}
	var rendered strings.Builder
	err = text.Execute(&rendered, map[string]any{
		"GuestIP": network.GuestIP, "GatewayIP": network.GatewayIP,
		"GatewayMAC": network.GatewayMAC, "PrefixLength": network.GuestPrefixLength,
	})
	return rendered.String(), err
}

// build makes all files of the layer in work.
func (s system) build(ctx context.Context, options ImageOptions, work string) error {
	packages := filepath.Join(work, "packages")
	options.Progress("fetching the guest's kernel")
	unpacked, err := fetchKernel(ctx, s.release, packages)
	if err != nil {
		return err
	}
	if err := installKernel(unpacked, filepath.Join(work, kernelFile)); err != nil {
		return err
	}
	init, err := guestFiles.ReadFile("guest/initramfs-init")
	if err != nil {
		return err
	}
	if err := writeInitramfs(filepath.Join(work, initramfsFile), unpacked, init); err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	options.Progress("installing Debian packages into the guest's root file system")
	if err := bootstrap(ctx, s.release, root, options.Progress); err != nil {
		return err
	}
	if err := s.furnish(root); err != nil {
		return err
	}
	if err := installModules(root, unpacked); err != nil {
		return err
	}
	options.Progress("making the guest's disk")
	if err := formatRootfs(ctx, root, filepath.Join(work, rootfsFile), s.diskMiB); err != nil {
		return err
	}
	for _, leftover := range []string{root, packages} {
		if err := os.RemoveAll(leftover); err != nil {
			return fmt.Errorf("remove %s: %w", leftover, err)
		}
	}
	return nil
}

// furnish writes our own files into the root file system.
func (s system) furnish(root string) error {
	files := []struct {
		path    string
		mode    os.FileMode
		content string
	}{
		{"etc/hostname", 0o644, "sandbox\n"},
		{"etc/hosts", 0o644, "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
		{"etc/resolv.conf", 0o644, "nameserver " + network.GatewayIP + "\n"},
		{"etc/sudoers.d/user", 0o440, "user ALL=(ALL:ALL) NOPASSWD: ALL\n"},
		{"etc/wrenn/network", 0o644, s.network},
		{"etc/inittab", 0o644, s.guestFile("inittab")},
		{"etc/init.d/rcS", 0o755, s.guestFile("rcS")},
		{"usr/local/sbin/run-envd", 0o755, s.guestFile("run-envd")},
	}
	for _, file := range files {
		target := filepath.Join(root, file.path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		// What the packages put there may be a link that leads out of the root.
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if err := os.WriteFile(target, []byte(file.content), file.mode); err != nil {
			return err
		}
		if err := os.Chmod(target, file.mode); err != nil {
			return err
		}
	}
	init := filepath.Join(root, "usr/sbin/init")
	if err := os.RemoveAll(init); err != nil {
		return err
	}
	return os.Symlink("../bin/busybox", init)
}

// guestFile returns an embedded file; a missing one is a fault of the build.
func (s system) guestFile(name string) string {
	content, err := guestFiles.ReadFile(path.Join("guest", name))
	if err != nil {
		panic(err)
	}
	return string(content)
}

// hostRelease reads which distribution the host runs.
// Source: os-release(5).
func hostRelease() (release, error) {
	content, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return release{}, err
	}
	return parseRelease(content)
}

func parseRelease(content []byte) (release, error) {
	fields := make(map[string]string)
	for line := range bytes.Lines(content) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	r := release{id: fields["ID"], codename: fields["VERSION_CODENAME"]}
	if kernelPackages[r.id] == "" || r.codename == "" {
		return release{}, fmt.Errorf("the host runs %q; guest images are built on Debian and Ubuntu", fields["PRETTY_NAME"])
	}
	return r, nil
}
