package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/services/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/descriptor"
)

// draft is a file that is not whole yet. Whoever makes, places or discards it
// acts as the user; its content may be written by anybody.
type draft struct {
	file    *os.File
	target  string      // where it goes, links followed
	old     os.FileInfo // what is there already, or nil
	inPlace bool        // the user may write what is there, but not replace it
	turn    *sync.Mutex // held by the one that writes in place
}

// newFileMode is what a file gets that was not there before.
const newFileMode = 0o644

// newDraft begins a file beside its place, in directories made for it.
func newDraft(path string, turn *sync.Mutex) (*draft, error) {
	target, err := destination(path)
	if err != nil {
		return nil, err
	}
	old, err := writable(target)
	if err != nil {
		return nil, err
	}
	directory, name := filepath.Split(target) // Dir would take ".." after a link for the link's parent
	if old == nil {
		if name == "" || name == "." || name == ".." { // as links can end
			return nil, fmt.Errorf("%s: %w", target, errIsDirectory)
		}
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, err
		}
	}
	d := &draft{target: target, old: old, turn: turn}
	d.file, err = os.CreateTemp(directory, filesystem.UploadPrefix)
	if old != nil && err != nil { // it may be another's directory, or the kernel's
		d.inPlace = true
		d.file, err = os.CreateTemp("", filesystem.UploadPrefix)
	}
	if err != nil {
		return nil, err
	}
	if err := d.dress(); err != nil {
		return nil, errors.Join(err, d.discard())
	}
	return d, nil
}

// dress gives the draft mode and owner of what it replaces, and finds out
// whether the user may.
func (d *draft) dress() error {
	if d.old == nil {
		return d.file.Chmod(newFileMode)
	}
	if d.inPlace {
		return nil
	}
	if stat, ok := d.old.Sys().(*syscall.Stat_t); ok {
		err := d.file.Chown(int(stat.Uid), int(stat.Gid))
		if errors.Is(err, fs.ErrPermission) {
			d.inPlace = true
			return nil
		}
		if err != nil {
			return err
		}
	}
	return d.file.Chmod(d.old.Mode().Perm())
}

// place makes the whole draft appear, and ends it.
func (d *draft) place(metadata map[string]string) error {
	if d.inPlace {
		return errors.Join(d.overwrite(metadata), d.discard())
	}
	if err := attach(d.file.Name(), metadata); err != nil {
		return errors.Join(err, d.discard())
	}
	err := os.Rename(d.file.Name(), d.target)
	if d.old != nil && errors.Is(err, syscall.EBUSY) { // it is mounted there by itself
		return errors.Join(d.overwrite(metadata), d.discard())
	}
	if err != nil {
		return errors.Join(err, d.discard())
	}
	d.announce()
	return d.file.Close()
}

// announce makes a file that was moved into place look written to those who
// watch: the kernel takes a change of this time alone for a write. Nothing of
// the content is touched, which may be another's by now.
func (d *draft) announce() {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
	_ = descriptor.With(d.file, func(opened int) error { // the file is there either way
		return unix.UtimesNanoAt(opened, "", times, unix.AT_EMPTY_PATH)
	})
}

func attach(path string, metadata map[string]string) error {
	if err := filesystem.SetMetadata(path, metadata); err != nil {
		return fmt.Errorf("attach metadata: %w", err)
	}
	return nil
}

// overwrite copies the draft into the file that is there. The space is taken
// first, so that a full disk leaves the file as it was. One at a time, because
// two would mix; only the disk is waited for, never a client.
func (d *draft) overwrite(metadata map[string]string) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	file, err := os.OpenFile(d.target, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if !before.Mode().IsRegular() { // any more
		return badRequest("%s is not a regular file", d.target)
	}
	if err := reserve(file, before.Size(), info.Size()); err != nil {
		return err
	}
	if err := attach(d.target, metadata); err != nil {
		return err
	}
	if _, err := io.Copy(file, d.file); err != nil {
		return err
	}
	return file.Truncate(info.Size())
}

// reserve makes sure that a file can grow and its holes be filled, and leaves
// it as it was where that cannot be. Sizes are in bytes.
func reserve(file *os.File, before, after int64) error {
	if after == 0 {
		return nil
	}
	err := descriptor.With(file, func(opened int) error {
		return unix.Fallocate(opened, unix.FALLOC_FL_KEEP_SIZE, 0, after)
	})
	if err == nil || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return errors.Join(err, file.Truncate(before)) // gives back what was taken
}

// discard leaves nothing of the draft.
func (d *draft) discard() error {
	return errors.Join(d.file.Close(), os.Remove(d.file.Name()))
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

// writable describes the file at a path, nil when there is none. Its directory
// alone would allow what the file itself does not.
func writable(path string) (os.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // nothing is there, and nothing is wrong
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s: %w", path, errIsDirectory)
	case !info.Mode().IsRegular():
		return nil, badRequest("%s is not a regular file", path)
	}
	// Without O_NONBLOCK a pipe put there meanwhile would hold us for ever.
	probe, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ETXTBSY) {
		return info, nil // a program that runs can be replaced, by who may write it
	}
	if err != nil {
		return nil, err
	}
	return info, probe.Close()
}
