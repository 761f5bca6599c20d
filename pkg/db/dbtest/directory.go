package dbtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// memoryDirectory is where Linux keeps files in memory: a database is made and
	// dropped for each test, which file systems on disks are slow at.
	memoryDirectory = "/dev/shm"
	// leastMemory is what must be free there; containers often have next to none.
	leastMemory = 1 << 30
	pattern     = "wrenn-db-"
	// settled is the age at which a directory's maker has locked it, if it lives.
	settled = time.Minute
)

// parentDirectory is where clusters are made.
func parentDirectory() string {
	var found unix.Statfs_t
	err := unix.Statfs(memoryDirectory, &found)
	if err != nil || found.Type != unix.TMPFS_MAGIC || found.Bavail*uint64(found.Bsize) < leastMemory || unix.Access(memoryDirectory, unix.W_OK) != nil {
		return os.TempDir()
	}
	return memoryDirectory
}

// makeDirectory makes a directory that is locked as long as the file, which is
// it, is open; and removes those of tests that were killed.
func makeDirectory() (*os.File, error) {
	parent := parentDirectory()
	if err := sweep(parent); err != nil {
		return nil, fmt.Errorf("remove what killed tests have left: %w", err)
	}
	path, err := os.MkdirTemp(parent, pattern)
	if err != nil {
		return nil, err
	}
	return lock(path)
}

func sweep(parent string) error {
	left, err := filepath.Glob(filepath.Join(parent, pattern+"*"))
	if err != nil {
		return err
	}
	var failures []error
	for _, path := range left {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < settled {
			continue
		}
		directory, err := lock(path)
		if err != nil {
			continue // another test's, or another user's
		}
		failures = append(failures, os.RemoveAll(path), directory.Close())
	}
	return errors.Join(failures...)
}

func lock(path string) (*os.File, error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(directory.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, directory.Close())
	}
	return directory, nil
}
