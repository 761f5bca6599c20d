package quota

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// total is the content of a directory.
type total struct{ bytes, files int64 }

// readAtOnce is how many entries of a directory are in memory at a time.
const readAtOnce = 1000

// count counts everything below a directory. It opens directories by the file system's
// handles: by paths, a tree can be deeper than the longest path, or than a process may
// have open files.
func count(path string) (total, error) {
	root, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return total{}, err
	}
	defer root.Close()
	c := counter{root: root, linked: make(map[uint64]bool)}
	first, _, err := unix.NameToHandleAt(int(root.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return total{}, err
	}
	for c.directories = []unix.FileHandle{first}; len(c.directories) > 0; {
		last := len(c.directories) - 1
		next := c.directories[last]
		c.directories = c.directories[:last]
		if err := c.countIn(next); err != nil {
			return total{}, err
		}
	}
	return c.found, nil
}

type counter struct {
	root        *os.File
	directories []unix.FileHandle // still to be read
	linked      map[uint64]bool   // inodes of files with several names that were counted
	found       total
}

func (c *counter) countIn(handle unix.FileHandle) error {
	descriptor, err := unix.OpenByHandleAt(int(c.root.Fd()), handle, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return err
	}
	directory := os.NewFile(uintptr(descriptor), "directory")
	defer directory.Close()
	for {
		names, err := directory.Readdirnames(readAtOnce)
		for _, name := range names {
			if err := c.countOne(descriptor, name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *counter) countOne(directory int, name string) error {
	var stat unix.Stat_t
	if err := unix.Fstatat(directory, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	c.found.files++
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		handle, _, err := unix.NameToHandleAt(directory, name, 0)
		c.directories = append(c.directories, handle)
		return err
	}
	if stat.Nlink > 1 {
		if c.linked[stat.Ino] {
			return nil
		}
		c.linked[stat.Ino] = true
	}
	c.found.bytes = sum(c.found.bytes, chargeOf(&stat))
	return nil
}
