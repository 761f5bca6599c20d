package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
)

const (
	mebibyte = 1 << 20
	// storageNeeds is the least free space in bytes for images: a template and a few
	// sandboxes, if necessary in a file system of their own.
	storageNeeds = 10 << 10 * mebibyte
	// restartNeeds is the least free space in bytes once images exist.
	restartNeeds = 1 << 10 * mebibyte
	// cacheNeeds is the space in bytes that building the base image needs.
	cacheNeeds = 3 << 10 * mebibyte
	// leastMemory and goodMemory are bytes of the whole machine.
	leastMemory = 1 << 10 * mebibyte
	goodMemory  = 4 << 10 * mebibyte
)

// checkDataDir checks that the system user, who owns parts of the data directory, can
// enter it.
func checkDataDir(_ context.Context, options Options) Result {
	for directory := options.DataDir; ; directory = filepath.Dir(directory) {
		info, err := os.Stat(directory)
		if err == nil && !info.IsDir() {
			return fail("choose another with --data-dir", "%s is not a directory", directory)
		}
		if err == nil && info.Mode()&0o001 == 0 {
			return fail(fmt.Sprintf("choose another with --data-dir, or run: chmod o+x %s", directory),
				"the system user wrenn cannot pass through %s to its data in %s", directory, options.DataDir)
		}
		if directory == filepath.Dir(directory) {
			return ok("%s", options.DataDir)
		}
	}
}

func checkDiskSpace(_ context.Context, options Options) Result {
	needs := uint64(storageNeeds)
	for _, name := range []string{"storage.xfs", "storage/templates"} {
		if _, err := os.Stat(filepath.Join(options.DataDir, name)); err == nil {
			needs = restartNeeds
		}
	}
	data := checkFree("--data-dir", options.DataDir, needs)
	if data.Status != OK {
		return data
	}
	images, err := filepath.Glob(filepath.Join(options.CacheDir, "images", "*"))
	if err == nil && len(images) > 0 {
		return data
	}
	if cache := checkFree("WRENN_CACHE_DIR", options.CacheDir, cacheNeeds); cache.Status != OK {
		return cache
	}
	return data
}

// checkFree checks the free space of the file system in which a directory is or will be.
func checkFree(setting, directory string, needs uint64) Result {
	_, free, err := disk.Usage(existing(directory))
	if err != nil {
		return warn("", "%v", err)
	}
	if free < needs {
		return fail(fmt.Sprintf("free some, or choose another place with %s", setting),
			"not enough space on %s: %d MiB free, %d MiB needed", directory, free/mebibyte, needs/mebibyte)
	}
	return ok("%d GiB free for %s", free>>30, directory)
}

// existing is a directory or the nearest of its parents that exists.
func existing(directory string) string {
	for {
		if _, err := os.Stat(directory); err == nil || directory == filepath.Dir(directory) {
			return directory
		}
		directory = filepath.Dir(directory)
	}
}

// checkReflinks checks that disks can be cloned: by reflinks of the file system, or else
// in an XFS file that is mounted by loop.
func checkReflinks(_ context.Context, options Options) Result {
	directory := existing(options.DataDir)
	clones, err := disk.CanClone(directory)
	if clones {
		return ok("the file system of %s clones files", directory)
	}
	if errors.Is(err, os.ErrPermission) {
		return forRoot("reflinks")
	}
	if err != nil {
		return warn("", "%s cannot be checked: %v", directory, err)
	}
	err = unix.Access("/dev/loop-control", unix.R_OK|unix.W_OK)
	if errors.Is(err, unix.EACCES) {
		return forRoot("loop devices")
	}
	if err != nil {
		return fail("run: modprobe loop", "the file system of %s cannot clone files, and there is no loop device: %v", directory, err)
	}
	if !kernelHasXFS() {
		return fail("run: modprobe xfs", "the file system of %s cannot clone files, and the kernel has no XFS", directory)
	}
	return ok("the file system of %s cannot clone files: images are kept in an XFS file, mounted by loop", directory)
}

// kernelHasXFS reports whether the kernel has XFS or could load it.
func kernelHasXFS() bool {
	content, err := os.ReadFile("/proc/filesystems")
	if err == nil && strings.Contains(string(content), "\txfs\n") {
		return true
	}
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return false
	}
	release := unix.ByteSliceToString(system.Release[:])
	modules, err := filepath.Glob(filepath.Join("/lib/modules", release, "kernel/fs/xfs/xfs.ko*"))
	return err == nil && len(modules) > 0
}

func checkMemory(context.Context, Options) Result {
	total, _, err := admission.HostMemory()
	if err != nil {
		return warn("", "%v", err)
	}
	if total < leastMemory {
		return fail("use a machine with 2 GiB or more", "%d MiB of memory are too little", total/mebibyte)
	}
	if total < goodMemory {
		return warn("use a machine with 4 GiB or more for more than a few sandboxes at a time", "%d MiB of memory", total/mebibyte)
	}
	return ok("%d MiB", total/mebibyte)
}
