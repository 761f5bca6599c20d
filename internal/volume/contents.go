package volume

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
)

// contents is the files of a volume. Every change that takes or frees room goes through the
// quota.
type contents struct {
	*os.Root
	quota *quota.Quota
}

// fits returns EDQUOT if the volume has no room for so many bytes more.
func (c contents) fits(bytes int64) error {
	err := c.quota.Reserve(bytes)
	if err == nil {
		c.quota.Give(bytes)
	}
	return err
}

func (c contents) makeDirectory(name string) error {
	return c.quota.Make(0, func() error { return c.Mkdir(name, defaultOfDir) })
}

// makeDirectories makes a directory and its missing parents.
func (c contents) makeDirectories(name string) error {
	info, err := c.Stat(name)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: name, Err: unix.ENOTDIR}
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := c.makeDirectories(path.Dir(name)); err != nil {
		return err
	}
	if err := c.makeDirectory(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// removeAll removes an entry with everything below it.
func (c contents) removeAll(name string) error {
	parent, err := c.OpenFile(path.Dir(name), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := c.removeTree(int(parent.Fd()), path.Base(name)); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// removeTree follows no link. Entries that are removed meanwhile are no error.
func (c contents) removeTree(parent int, name string) error {
	err := c.quota.Unlink(parent, name, 0)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	descriptor, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	directory := os.NewFile(uintptr(descriptor), name)
	defer directory.Close()
	if err := c.empty(directory); err != nil {
		return err
	}
	if err := c.quota.Unlink(parent, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// empty reads the directory from its start again after it has removed a part: not every
// file system continues correctly from within.
func (c contents) empty(directory *os.File) error {
	const atOnce = 1000
	for {
		names, err := directory.Readdirnames(atOnce)
		if len(names) == 0 {
			return ignoreEnd(err)
		}
		for _, name := range names {
			if err := c.removeTree(int(directory.Fd()), name); err != nil {
				return err
			}
		}
		if _, err := directory.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}
