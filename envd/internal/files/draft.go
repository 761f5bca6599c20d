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

// draft is content that is not whole yet. For a file that is not there it lies
// beside its place and is moved there; for one that is there it has no name, and
// is copied into it.
type draft struct {
	user   *permissions.User
	file   *os.File
	target string // where it goes, links followed
	named  bool   // it has a name of its own still
	turns  *turns
}

// newFileMode is what a file gets that was not there before.
const newFileMode = 0o644

// newDraft begins a file, and makes the directories that it lacks.
func newDraft(user *permissions.User, path string, turns *turns) (*draft, error) {
	target, err := destination(path)
	if err != nil {
		return nil, err
	}
	d := &draft{user: user, target: target, turns: turns}
	there, err := isThere(target)
	if err != nil {
		return nil, err
	}
	directory, name := filepath.Split(target) // Dir would take ".." after a link for the link's parent
	if there {
		d.file, err = openScratch(directory)
		return d, err
	}
	if name == "" || name == "." || name == ".." { // as links can end
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

// isThere tells whether there is a file to write to, and fails where something
// else is.
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

// openScratch opens a file without a name: on the disk of a directory, where what
// the disk has no room for fails before anything is overwritten, or with the
// guest's temporary files, where that disk keeps no such files.
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

// openBeside gives the draft a file with a name in its target's directory.
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
	return d.file.Chmod(mode) // last, because a change of owner takes bits away
}

// place makes the whole draft appear, and ends it.
func (d *draft) place(metadata map[string]string) error {
	var err error
	if d.named {
		err = d.appear(metadata)
	} else {
		err = d.overwrite(metadata)
	}
	return errors.Join(err, d.discard())
}

// appear moves a new file into its place. Where another was made meanwhile, it
// becomes that one's content.
func (d *draft) appear(metadata map[string]string) error {
	if err := attach(d.file.Name(), metadata); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, d.file.Name(), unix.AT_FDCWD, d.target, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // the file system cannot tell
		err = os.Rename(d.file.Name(), d.target)
	}
	if errors.Is(err, fs.ErrExist) {
		return d.overwrite(metadata)
	}
	if err != nil {
		return &os.PathError{Op: "create", Path: d.target, Err: err}
	}
	d.named = false
	// Those who watch were told of a new file. They expect it to be given to its
	// owner then, and written; it is there and whole, whether they hear of it or not.
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

// overwrite copies the draft into the file that is there, which stays the same
// file: its other names, its owner and its mode, and those who have it open.
func (d *draft) overwrite(metadata map[string]string) error {
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(d.target, os.O_WRONLY|syscall.O_NONBLOCK, 0) // a pipe may be there by now
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
	defer d.turns.take(before)()
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

// replace puts a new file where a program runs, whose file cannot be written to,
// or where the file was removed meanwhile.
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

// discard leaves nothing of the draft but what was placed.
func (d *draft) discard() error {
	err := d.file.Close()
	if d.named {
		err = errors.Join(err, os.Remove(d.file.Name()))
	}
	return err
}

// maxLinks is how many links Linux follows in a row.
const maxLinks = 40

// destination follows the links a path ends with, also to where nothing is yet.
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
