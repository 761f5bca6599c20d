package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// reserve makes sure that a file can grow to a size, in bytes, and its holes be
// filled, and leaves it as it was where that cannot be: a full disk then costs
// nothing of what is in the file.
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
		return errors.Join(err, file.Truncate(before.Size())) // gives back what was taken
	}
}

// requireRoom asks a file system that reserves nothing how much it has. The
// kernel's own file systems have no blocks at all.
func requireRoom(file *os.File, bytes int64) error {
	return utils.WithDescriptor(file, func(opened int) error {
		var room unix.Statfs_t
		if err := unix.Fstatfs(opened, &room); err != nil || room.Blocks == 0 {
			return nil //nolint:nilerr // a file system that cannot tell may have room
		}
		if bytes > 0 && uint64(bytes) > room.Bavail*uint64(room.Bsize) {
			return unix.ENOSPC
		}
		return nil
	})
}

// touch makes a file look written to those who watch: the kernel takes a change
// of this time alone for a write.
func touch(file *os.File) {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
	_ = utils.WithDescriptor(file, func(opened int) error {
		return unix.UtimesNanoAt(opened, "", times, unix.AT_EMPTY_PATH)
	})
}
