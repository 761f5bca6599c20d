package prepare

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Bounds of /etc/skel, which the image brings.
const (
	maxSkeletonEntries = 256
	maxSkeletonBytes   = 1 << 20
)

// makeHome makes the user's home, with the files of /etc/skel, unless there is one.
func (i image) makeHome(user User) error {
	const mode = 0o755
	if user.Home == "" || user.Home == "/" || !filepath.IsAbs(user.Home) {
		i.note("%s has no home of its own in the image: its home is %q", user.Name, user.Home)
		return nil
	}
	home := i.path(user.Home)
	info, err := os.Stat(home)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a directory", user.Home)
	case err == nil:
		return ownIfRoots(home, info, user)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(home, mode); err != nil {
		return err
	}
	if err := os.Chown(home, int(user.UID), int(user.GID)); err != nil {
		return err
	}
	return i.copySkeleton(home, user)
}

// ownIfRoots gives a home that root made, as a Dockerfile's WORKDIR does, to its user.
func ownIfRoots(home string, info fs.FileInfo, user User) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid != 0 || user.UID == 0 {
		return nil
	}
	return os.Chown(home, int(user.UID), int(user.GID))
}

func (i image) copySkeleton(home string, user User) error {
	skeleton := i.path("/etc/skel")
	entries := 0
	err := filepath.WalkDir(skeleton, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) && path == skeleton {
			return fs.SkipAll
		}
		if err != nil || path == skeleton {
			return err
		}
		if entries++; entries > maxSkeletonEntries {
			i.note("/etc/skel has more than %d entries: only those are copied", maxSkeletonEntries)
			return fs.SkipAll
		}
		return copyEntry(path, filepath.Join(home, strings.TrimPrefix(path, skeleton)), entry, user)
	})
	if err != nil {
		return fmt.Errorf("copy /etc/skel: %w", err)
	}
	return nil
}

// copyEntry copies a directory, a link or a small regular file; others are left out.
func copyEntry(source, target string, entry fs.DirEntry, user User) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	switch entry.Type() {
	case fs.ModeDir:
		err = os.Mkdir(target, info.Mode().Perm())
	case fs.ModeSymlink:
		var leadsTo string
		if leadsTo, err = os.Readlink(source); err == nil {
			err = os.Symlink(leadsTo, target)
		}
	case 0:
		if info.Size() > maxSkeletonBytes {
			return nil
		}
		var content []byte
		if content, err = os.ReadFile(source); err == nil {
			err = os.WriteFile(target, content, info.Mode().Perm())
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return os.Lchown(target, int(user.UID), int(user.GID))
}
