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

// contents is what is in a volume. What takes room there or gives it back goes through
// its quota.
type contents struct {
	*os.Root
	quota *quota.Quota
}

// fits answers EDQUOT where so many bytes more are too many.
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

// makeDirectories makes a directory and those that it is in, as far as they are
// missing.
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

// removeAll removes what has a name, with all that is in it.
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

// removeTree follows no link. What others remove meanwhile is gone all the same.
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

// empty reads the directory from its start again after each part that it removed: what
// is read on from within is not told by every file system.
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
