package template

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/image/erofs"
	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// rootfsImageFile is beside the image's other files. It is made when a driver needs it.
const rootfsImageFile = "rootfs.erofs"

// erofsUUID is the same for every image: the same files give the same image.
var erofsUUID = uuid.MustParse("5b0f4c1e-62a8-4d6c-9f2b-3c1d7e0a9b54")

// Bounds of what is written, generously: the files are Wrenn's own.
const (
	mostFiles      = 4_000_000
	mostImageBytes = 64 << 30
)

// WriteEROFS writes the root file system with the additions as an EROFS image.
func (i Image) WriteEROFS(ctx context.Context, path string) error {
	made := filepath.Join(filepath.Dir(i.KernelPath), rootfsImageFile)
	err := i.ensure(made, func(work string) error { return i.convertRootfs(ctx, work) })
	if err == nil {
		err = disk.CopySparse(made, path)
	}
	if err != nil {
		return fmt.Errorf("write root image: %w", err)
	}
	return nil
}

// WriteDirectory writes Wrenn's directory as an EROFS image, for guests without an
// initramfs and without modules.
func (i Image) WriteDirectory(ctx context.Context, path string) error {
	err := writeEROFS(path, func(w *erofsWriter) error { return w.addDirectory(ctx, i.DirectoryPath, bundlePath) })
	if err != nil {
		return fmt.Errorf("write the image of Wrenn's directory: %w", err)
	}
	return nil
}

// ensure makes a file of the image, once, by renaming what fill has written.
func (i Image) ensure(path string, fill func(work string) error) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	work, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*"+unfinishedSuffix)
	if err != nil {
		return err
	}
	if err := errors.Join(work.Close(), fill(work.Name()), os.Chmod(work.Name(), 0o644)); err != nil {
		return errors.Join(err, os.Remove(work.Name()))
	}
	return os.Rename(work.Name(), path)
}

// convertRootfs reads the ext4 image, which is Wrenn's own and was made here, by a mount
// that writes nothing.
func (i Image) convertRootfs(ctx context.Context, target string) (err error) {
	mountPoint, err := os.MkdirTemp("", "wrenn-rootfs-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(mountPoint)) }()
	if _, err := run(ctx, "/", "mount", "-o", "loop,ro,noload", i.RootfsPath, mountPoint); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(mountPoint, 0)) }()
	return writeEROFS(target, func(w *erofsWriter) error {
		return errors.Join(w.addDirectory(ctx, mountPoint, "lost+found"), w.addAdditions(i.additions))
	})
}

// erofsWriter writes files of the host into an image.
type erofsWriter struct {
	*erofs.Writer
	tree *filetree.Tree
	seen map[inode]string // files with several names, by the first
}

type inode struct{ device, number uint64 }

func writeEROFS(path string, fill func(*erofsWriter) error) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	writer := erofs.New(file, erofs.Options{UUID: erofsUUID, MostBytes: mostImageBytes})
	w := &erofsWriter{writer, filetree.New(filetree.Limits{Entries: mostFiles}, writer.Free), make(map[inode]string)}
	if err := fill(w); err != nil {
		return err
	}
	_, err = w.Finish(w.tree)
	return err
}

// addDirectory adds all below a directory but the file of the excluded name.
func (w *erofsWriter) addDirectory(ctx context.Context, root, excluded string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if name == excluded {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return w.addFile(path, name)
	})
}

func (w *erofsWriter) addFile(path, name string) error {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return fmt.Errorf("inspect %s: %w", path, err)
	}
	node := &filetree.Node{
		Mode: stat.Mode, UID: stat.Uid, GID: stat.Gid, Seconds: stat.Mtim.Sec, Nanoseconds: uint32(stat.Mtim.Nsec),
	}
	identity := inode{stat.Dev, stat.Ino}
	var err error
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if first, known := w.seen[identity]; known {
			return w.tree.Link(name, first)
		}
		if stat.Nlink > 1 {
			w.seen[identity] = name
		}
		node.Size = stat.Size
		node.Extents, err = w.content(path, stat.Size)
	case unix.S_IFLNK:
		node.Target, err = os.Readlink(path)
	case unix.S_IFCHR, unix.S_IFBLK:
		node.Major, node.Minor = unix.Major(stat.Rdev), unix.Minor(stat.Rdev)
	}
	if err != nil {
		return err
	}
	return w.tree.Put(name, node)
}

func (w *erofsWriter) content(path string, size int64) ([]filetree.Extent, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return w.Write(io.LimitReader(file, size), size)
}

// addAdditions adds the additions in a directory, which replace what has their paths.
func (w *erofsWriter) addAdditions(directory string) error {
	list, err := readAdditions(directory)
	if err != nil {
		return err
	}
	made, err := strconv.ParseInt(sourceDateEpoch, 10, 64)
	if err != nil {
		return err
	}
	for _, a := range list {
		node := &filetree.Node{Mode: unix.S_IFLNK | 0o777, Target: a.Link, Seconds: made}
		if a.Link == "" {
			content, err := os.ReadFile(filepath.Join(directory, a.File))
			if err != nil {
				return err
			}
			node.Mode, node.Size = unix.S_IFREG|uint32(a.Mode.Perm()), int64(len(content))
			if node.Extents, err = w.Write(bytes.NewReader(content), node.Size); err != nil {
				return err
			}
		}
		if err := w.tree.Put(a.Path, node); err != nil {
			return fmt.Errorf("add %s: %w", a.Path, err)
		}
	}
	return nil
}
