package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// reserve allocates disk space for a file of a size in bytes. If there is not enough, it
// leaves the file unchanged, so that a full disk loses nothing of its content.
func reserve(file *os.File, size int64) error {
	before, err := file.Stat()
	if err != nil || size == 0 {
		return err
	}
	err = utils.WithDescriptor(file, func(opened int) error {
		return unix.Fallocate(opened, unix.FALLOC_FL_KEEP_SIZE, 0, size)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		return requireRoom(file, size-before.Size())
	default:
		return errors.Join(err, file.Truncate(before.Size())) // frees what was allocated
	}
}

// requireRoom compares the free space of a file system without fallocate. The kernel's
// own file systems report no blocks.
func requireRoom(file *os.File, bytes int64) error {
	return utils.WithDescriptor(file, func(opened int) error {
		var room unix.Statfs_t
		if err := unix.Fstatfs(opened, &room); err != nil || room.Blocks == 0 {
			return nil //nolint:nilerr // unknown: there may be room
		}
		if bytes > 0 && uint64(bytes) > room.Bavail*uint64(room.Bsize) {
			return unix.ENOSPC
		}
		return nil
	})
}

// touch sets a file's modification time alone, which inotify reports as a write.
func touch(file *os.File) {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
	_ = utils.WithDescriptor(file, func(opened int) error {
		return unix.UtimesNanoAt(opened, "", times, unix.AT_EMPTY_PATH)
	})
}
