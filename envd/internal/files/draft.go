package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// draft is the content of an incomplete upload. For a new file it is a file in the target's
// directory, which is renamed to the target; for an existing one it is a file without a
// name, whose content is copied into the target.
type draft struct {
	user   *permissions.User
	file   *os.File
	target string // the file to write, links followed
	named  bool   // its file has a name and must be removed
	locks  *fileLocks
}

// newFileMode is the mode of files that did not exist before.
const newFileMode = 0o644

// newDraft opens a draft and makes the missing directories of its target.
func newDraft(user *permissions.User, path string, locks *fileLocks) (*draft, error) {
	target, err := destination(path)
	if err != nil {
		return nil, err
	}
	d := &draft{user: user, target: target, locks: locks}
	there, err := isThere(target)
	if err != nil {
		return nil, err
	}
	directory, name := filepath.Split(target) // Dir would resolve ".." after a link to the link's parent
	if there {
		d.file, err = openScratch(directory)
		return d, err
	}
	if name == "" || name == "." || name == ".." { // a link can end so
		return nil, fmt.Errorf("%s: %w", target, errIsDirectory)
	}
	if err := user.MakeDirectories(directory); err != nil {
		return nil, err
	}
	if err := d.openBeside(); err != nil {
		return nil, err
	}
	if err := d.dress(int(user.UID), int(user.GID), newFileMode); err != nil {
		return nil, errors.Join(err, d.discard())
	}
	return d, nil
}

// isThere reports whether the target exists, and fails if it is not a regular file.
func isThere(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.IsDir():
		return false, fmt.Errorf("%s: %w", path, errIsDirectory)
	case !info.Mode().IsRegular():
		return false, badRequest("%s is not a regular file", path)
	default:
		return true, nil
	}
}

// openScratch opens a file without a name on the file system of a directory, so that a full
// disk fails the upload before anything is overwritten; or in the directory for temporary
// files, if that file system has no O_TMPFILE.
func openScratch(directory string) (*os.File, error) {
	file, err := os.OpenFile(directory, os.O_RDWR|unix.O_TMPFILE, 0o600)
	if err == nil || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return file, err
	}
	if file, err = os.CreateTemp("", filesystem.UploadPrefix); err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// openBeside opens the draft's file in its target's directory.
func (d *draft) openBeside() (err error) {
	directory, _ := filepath.Split(d.target)
	if d.file, err = os.CreateTemp(directory, filesystem.UploadPrefix); err != nil {
		return err
	}
	d.named = true
	return nil
}

func (d *draft) dress(uid, gid int, mode fs.FileMode) error {
	if err := permissions.Owned(d.file.Chown(uid, gid)); err != nil {
		return err
	}
	return d.file.Chmod(mode) // last: a change of owner clears bits
}

// place makes the draft the target's content, and closes it.
func (d *draft) place(metadata map[string]string) error {
	var err error
	if d.named {
		err = d.appear(metadata)
	} else {
		err = d.overwrite(metadata)
	}
	return errors.Join(err, d.discard())
}

// appear renames a new file to its target. If the target was created meanwhile, the draft
// becomes its content.
func (d *draft) appear(metadata map[string]string) error {
	if err := attach(d.file.Name(), metadata); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, d.file.Name(), unix.AT_FDCWD, d.target, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // not on this file system
		err = os.Rename(d.file.Name(), d.target)
	}
	if errors.Is(err, fs.ErrExist) {
		return d.overwrite(metadata)
	}
	if err != nil {
		return &os.PathError{Op: "create", Path: d.target, Err: err}
	}
	d.named = false
	// A watcher has seen the creation, and expects a change of attributes and a write
	// after it. The upload has succeeded even if these fail.
	_ = d.file.Chown(int(d.user.UID), int(d.user.GID))
	touch(d.file)
	return nil
}

func attach(path string, metadata map[string]string) error {
	if err := filesystem.SetMetadata(path, metadata); err != nil {
		return fmt.Errorf("attach metadata: %w", err)
	}
	return nil
}

// overwrite copies the draft into the existing file, which keeps its inode: hard links,
// owner, mode and open descriptors.
func (d *draft) overwrite(metadata map[string]string) error {
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(d.target, os.O_WRONLY|syscall.O_NONBLOCK, 0) // a pipe may be in its place by now
	if errors.Is(err, syscall.ETXTBSY) || errors.Is(err, fs.ErrNotExist) {
		return d.replace(metadata)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() {
		return badRequest("%s is not a regular file", d.target)
	}
	defer d.locks.lock(before)()
	if err := reserve(file, info.Size()); err != nil {
		return err
	}
	if err := attach(d.target, metadata); err != nil {
		return err
	}
	if err := d.copyTo(file); err != nil {
		return err
	}
	return file.Truncate(info.Size())
}

// replace renames a new file to the target: a running program's file cannot be written to,
// and a target can have been removed meanwhile.
func (d *draft) replace(metadata map[string]string) error {
	fresh := &draft{user: d.user, target: d.target}
	if err := fresh.openBeside(); err != nil {
		return err
	}
	err := func() error {
		uid, gid, mode := int(d.user.UID), int(d.user.GID), fs.FileMode(newFileMode)
		if info, err := os.Stat(d.target); err == nil {
			mode = info.Mode().Perm()
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				uid, gid = int(stat.Uid), int(stat.Gid)
			}
		}
		if err := fresh.dress(uid, gid, mode); err != nil {
			return err
		}
		if err := d.copyTo(fresh.file); err != nil {
			return err
		}
		if err := attach(fresh.file.Name(), metadata); err != nil {
			return err
		}
		if err := os.Rename(fresh.file.Name(), d.target); err != nil {
			return err
		}
		fresh.named = false
		touch(fresh.file)
		return nil
	}()
	return errors.Join(err, fresh.discard())
}

func (d *draft) copyTo(file *os.File) error {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(file, d.file)
	return err
}

// discard closes the draft and removes its file, unless that was placed.
func (d *draft) discard() error {
	err := d.file.Close()
	if d.named {
		err = errors.Join(err, os.Remove(d.file.Name()))
	}
	return err
}

// maxLinks is how many links Linux follows for one path.
const maxLinks = 40

// destination follows the links that a path ends with. The result need not exist.
func destination(path string) (string, error) {
	for range maxLinks {
		link, err := os.Readlink(path)
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(link) {
			directory, _ := filepath.Split(path)
			link = directory + link
		}
		path = link
	}
	return "", fmt.Errorf("%s: %w", path, syscall.ELOOP)
}
