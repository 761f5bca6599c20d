package imagetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/installation"
	"git.omukk.dev/wrenn/sandbox/internal/testhost"
)

// Variable names the directory with what Prepare has fetched.
const Variable = "WRENN_TEST_IMAGES"

// Part is what images are made of.
type Part string

// The parts. Images of busybox need Busybox.
const (
	// Busybox is Debian's static busybox, and musl.
	Busybox Part = "busybox"
	// MinimalDebian is a Debian with nothing but what every Debian has, and sudo.
	MinimalDebian Part = "debian"
	// SystemdDebian is the same with systemd as its first process.
	SystemdDebian Part = "debian-systemd"
)

// Files of the directory.
const (
	busyboxFile = "busybox"
	muslFile    = "ld-musl-x86_64.so.1"
	packedFile  = ".tar.zst"
	diffIDFile  = ".diffid"
)

// Prepare fetches parts, which are kept between runs. It needs root and the internet.
func Prepare(parts ...Part) testhost.Step {
	return func(string) ([]string, error) {
		directory := filepath.Join(installation.DefaultCacheDir, "packages", "test-images")
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, err
		}
		lock, err := os.OpenFile(filepath.Join(directory, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		defer lock.Close()
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
			return nil, err
		}
		for _, part := range parts {
			if err := prepare(directory, part); err != nil {
				return nil, fmt.Errorf("prepare %s for test images: %w", part, err)
			}
		}
		return []string{Variable + "=" + directory}, nil
	}
}

func prepare(directory string, part Part) error {
	switch part {
	case Busybox:
		return prepareBusybox(directory)
	case MinimalDebian:
		return prepareDebian(directory, part, "sudo")
	default:
		return prepareDebian(directory, part, "sudo", "systemd", "systemd-sysv", "dbus")
	}
}

// exists says whether all files are there.
func exists(directory string, names ...string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(directory, name)); err != nil {
			return false
		}
	}
	return true
}

func prepareBusybox(directory string) (err error) {
	if exists(directory, busyboxFile, muslFile) {
		return nil
	}
	work, err := os.MkdirTemp(directory, "work-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := run(work, "apt-get", "-o", "APT::Sandbox::User=root", "download", "busybox-static", "musl"); err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	for _, archive := range archives {
		if err := run(work, "dpkg-deb", "-x", archive, root); err != nil {
			return err
		}
	}
	for name, paths := range map[string][]string{
		busyboxFile: {"bin/busybox", "usr/bin/busybox"},
		muslFile:    {"lib/x86_64-linux-musl/libc.so", "usr/lib/x86_64-linux-musl/libc.so"},
	} {
		if err := renameFirst(root, paths, filepath.Join(directory, name)); err != nil {
			return err
		}
	}
	return nil
}

// renameFirst moves the first of some files that there is.
func renameFirst(root string, paths []string, target string) error {
	for _, path := range paths {
		err := os.Rename(filepath.Join(root, path), target)
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return fmt.Errorf("the packages have none of %s", strings.Join(paths, ", "))
}

// prepareDebian makes a packed archive of a Debian, and a file with the archive's sum.
func prepareDebian(directory string, part Part, packages ...string) (err error) {
	packed, sumFile := string(part)+packedFile, string(part)+diffIDFile
	if exists(directory, packed, sumFile) {
		return nil
	}
	work, err := os.MkdirTemp(directory, "work-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	codename, err := hostCodename()
	if err != nil {
		return err
	}
	archive := filepath.Join(work, "root.tar")
	err = run("/", "mmdebstrap", "--variant=minbase", "--mode=root", "--quiet", "--include="+strings.Join(packages, ","),
		"--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*", codename, archive)
	if err != nil {
		return err
	}
	sum, err := pack(archive, filepath.Join(work, packed))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, sumFile), []byte(sum), 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, packed), filepath.Join(directory, packed))
}

// hostCodename is the host's release, whose packages images are made of.
// Source: os-release(5).
func hostCodename() (string, error) {
	content, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if name, found := strings.CutPrefix(line, "VERSION_CODENAME="); found {
			return strings.Trim(strings.TrimSpace(name), `"'`), nil
		}
	}
	return "", errors.New("the host is no Debian or Ubuntu")
}

// pack packs an archive and returns its sum.
func pack(archive, target string) (sum string, err error) {
	from, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := os.Create(target)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	writer, err := zstd.NewWriter(to)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(writer, hash), from); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), writer.Close()
}

func run(directory, name string, arguments ...string) error {
	var complaints bytes.Buffer
	command := exec.Command(name, arguments...)
	command.Dir, command.Stderr = directory, &complaints
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaints.String()))
	}
	return nil
}
