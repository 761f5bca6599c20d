// Package template makes the base template: a guest image from Debian packages, and a
// snapshot from that image.
package template

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// KernelCommandLine boots the guest's kernel on any VMM. tsc=reliable turns off the check
// of the time stamp counter against another clock, which would reject the counter on a
// host that is too busy to read both at the same time.
const KernelCommandLine = "console=ttyS0 quiet reboot=t panic=-1 tsc=reliable"

// imageVersion is raised when older images must not be used any more.
const imageVersion = 1

// Image is a bootable guest image. Its files are never written to.
type Image struct {
	// Hash is of everything that the image is made of.
	Hash          string `json:"hash"`
	KernelPath    string `json:"-"`
	InitramfsPath string `json:"-"`
	// RootfsPath is the root file system, without the additions.
	RootfsPath  string `json:"-"`
	DiskMiB     int    `json:"diskMiB"`
	EnvdVersion string `json:"envdVersion"`
	// DirectoryPath is Wrenn's directory, for guests that have no initramfs to bring it.
	DirectoryPath string `json:"-"`

	additions string // the directory of the additions; empty for none
}

// WriteDisk writes a root disk with the additions.
func (i Image) WriteDisk(ctx context.Context, path string) error {
	if err := disk.CopySparse(i.RootfsPath, path); err != nil {
		return fmt.Errorf("write root disk: %w", err)
	}
	if i.additions == "" {
		return nil
	}
	if err := installAdditions(ctx, path, i.additions); err != nil {
		return fmt.Errorf("write root disk: %w", err)
	}
	return nil
}

// ImageOptions is what to build and where to keep it.
type ImageOptions struct {
	// CacheDir is where images are kept; several data directories may share it.
	CacheDir string
	// EnvdPath is the guest agent's static binary.
	EnvdPath string
	// DiskMiB is the size of the root disk, at least 1024.
	DiskMiB  int
	Progress func(line string)
	Log      *slog.Logger
}

// Directories of the cache, and files of an image. Downloaded packages, the system made of
// them and what is Wrenn's are cached apart: another guest agent takes a second, and one
// more package downloads only that.
const (
	packagesDirectory  = "packages"
	systemsDirectory   = "systems"
	imagesDirectory    = "images"
	kernelFile         = "vmlinuz"
	initramfsFile      = "initramfs.cpio"
	additionsDirectory = "additions"
	ownDirectory       = "wrenn"
	imageManifest      = "image.json"
	unfinishedSuffix   = ".new"
)

const minimumDiskMiB = 1024

// BuildImage returns the guest image for the options, and builds it if it is not in the
// cache. Building needs root. An interrupted build leaves nothing that looks like an
// image. Only one build runs at a time.
func BuildImage(ctx context.Context, options ImageOptions) (Image, error) {
	if options.DiskMiB < minimumDiskMiB {
		return Image{}, fmt.Errorf("build guest image: a disk of %d MiB is too small; the least is %d", options.DiskMiB, minimumDiskMiB)
	}
	release, err := hostRelease()
	if err != nil {
		return Image{}, fmt.Errorf("build guest image: %w", err)
	}
	agent, err := os.ReadFile(options.EnvdPath)
	if err != nil {
		return Image{}, fmt.Errorf("build guest image: the guest agent: %w", err)
	}
	own, err := describeDirectory(agent)
	if err != nil {
		return Image{}, fmt.Errorf("build guest image: %w", err)
	}
	system, additions := describeSystem(release, options.DiskMiB), systemFiles()
	hash := hashImage(system, additions, own)
	for _, name := range []string{systemsDirectory, imagesDirectory} {
		if err := os.MkdirAll(filepath.Join(options.CacheDir, name), 0o755); err != nil {
			return Image{}, fmt.Errorf("build guest image: %w", err)
		}
	}
	unlock, err := lockCache(ctx, options)
	if err != nil {
		return Image{}, err
	}
	defer unlock()
	imageDirectory := filepath.Join(options.CacheDir, imagesDirectory, hash)
	systemDirectory := filepath.Join(options.CacheDir, systemsDirectory, system.hash)
	if image, err := openImage(imageDirectory, systemDirectory); err == nil {
		markUsed(imageDirectory, systemDirectory)
		return image, nil
	}
	if err := prune(options.CacheDir, time.Now()); err != nil {
		options.Log.WarnContext(ctx, "remove old guest images", "error", err)
	}
	image, err := build(ctx, options, layers{system, systemDirectory, additions, own, imageDirectory, hash})
	if err != nil {
		return Image{}, fmt.Errorf("build guest image: %w", err)
	}
	return image, nil
}

func openImage(directory, systemDirectory string) (Image, error) {
	content, err := os.ReadFile(filepath.Join(directory, imageManifest))
	if err != nil {
		return Image{}, err
	}
	var image Image
	if err := json.Unmarshal(content, &image); err != nil {
		return Image{}, err
	}
	image.KernelPath = filepath.Join(directory, kernelFile)
	image.InitramfsPath = filepath.Join(directory, initramfsFile)
	image.RootfsPath = filepath.Join(systemDirectory, rootfsFile)
	image.DirectoryPath = filepath.Join(directory, ownDirectory)
	image.additions = filepath.Join(directory, additionsDirectory)
	for _, path := range []string{image.KernelPath, image.InitramfsPath, image.RootfsPath, image.DirectoryPath, image.additions} {
		if _, err := os.Stat(path); err != nil {
			return Image{}, err
		}
	}
	return image, nil
}

// hashImage hashes the system, the additions and Wrenn's directory.
func hashImage(system system, additions []addition, own directory) string {
	inputs := []string{fmt.Sprint(imageVersion), fmt.Sprint(bundleVersion), system.hash, strings.Join(initramfsModules, " ")}
	for _, a := range additions {
		inputs = append(inputs, a.path, a.mode.String(), a.link, string(a.content))
	}
	for _, f := range own {
		inputs = append(inputs, f.path, f.mode.String(), f.link, string(f.content))
	}
	return hashStrings(inputs...)
}

// layers are the parts of an image and their directories.
type layers struct {
	system          system
	systemDirectory string
	additions       []addition
	own             directory
	directory       string
	hash            string
}

// build makes the system, if it is missing, and the image.
func build(ctx context.Context, options ImageOptions, l layers) (Image, error) {
	if err := checkTools(); err != nil {
		return Image{}, err
	}
	began := time.Now()
	if _, err := os.Stat(l.systemDirectory); errors.Is(err, os.ErrNotExist) {
		options.Progress("building the guest's Debian system (once; some minutes)")
		err := inUnfinished(l.systemDirectory, func(work string) error { return l.system.build(ctx, options, work) })
		if err != nil {
			return Image{}, err
		}
	}
	version, err := agentVersion(ctx, options.EnvdPath)
	if err != nil {
		return Image{}, err
	}
	kernel := Kernel{directory: filepath.Join(l.systemDirectory, kernelDirectory)}
	bundle, err := ensureBundle(l.systemDirectory, kernel)
	if err != nil {
		return Image{}, err
	}
	manifest, err := json.Marshal(Image{Hash: l.hash, DiskMiB: options.DiskMiB, EnvdVersion: version})
	if err != nil {
		return Image{}, err
	}
	own, err := l.own.withSystem(kernel, bundle)
	if err != nil {
		return Image{}, err
	}
	err = inUnfinished(l.directory, func(work string) error {
		return errors.Join(
			installKernel(kernel.directory, filepath.Join(work, kernelFile)),
			writeInitramfs(filepath.Join(work, initramfsFile), kernel.directory, own),
			own.write(filepath.Join(work, ownDirectory)),
			writeAdditions(filepath.Join(work, additionsDirectory), l.additions),
			os.WriteFile(filepath.Join(work, imageManifest), manifest, 0o644),
		)
	})
	if err != nil {
		return Image{}, err
	}
	options.Progress(fmt.Sprintf("guest image is ready (%.0f s)", time.Since(began).Seconds()))
	return openImage(l.directory, l.systemDirectory)
}

// inUnfinished calls fill with a temporary directory, which it renames when fill has
// succeeded.
func inUnfinished(directory string, fill func(work string) error) error {
	work := directory + unfinishedSuffix
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove unfinished build: %w", err)
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	if err := fill(work); err != nil {
		return errors.Join(err, os.RemoveAll(work))
	}
	if err := os.RemoveAll(directory); err != nil {
		return err
	}
	return os.Rename(work, directory)
}

// lockCache waits for the lock, and reports that it waits.
func lockCache(ctx context.Context, options ImageOptions) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(options.CacheDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock image cache: %w", err)
	}
	const retryEvery = 200 * time.Millisecond
	for waiting := false; ; waiting = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("lock image cache: %w", err)
		}
		if !waiting {
			options.Progress("waiting for another build of a guest image to end")
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, fmt.Errorf("lock image cache: %w", ctx.Err())
		case <-time.After(retryEvery):
		}
	}
}

// agentVersion runs the guest agent on the host and asks for its version.
func agentVersion(ctx context.Context, path string) (string, error) {
	output, err := exec.CommandContext(ctx, path, "-version").Output()
	if err != nil {
		return "", fmt.Errorf("ask the guest agent for its version: %w", err)
	}
	return strings.TrimSpace(string(output)), nil
}

// hashStrings hashes a list of strings. Different lists have different hashes.
func hashStrings(inputs ...string) string {
	sum := sha256.New()
	for _, input := range inputs {
		fmt.Fprintf(sum, "%d:%s", len(input), input)
	}
	return hex.EncodeToString(sum.Sum(nil))[:32]
}
