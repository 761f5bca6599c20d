package prepare

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// editedFile is a file that is replaced as a whole, so that an interrupted change leaves
// the old one.
type editedFile struct {
	path    string // of the file itself, where a link led to it
	content []byte
	mode    os.FileMode
	owner   *syscall.Stat_t // nil for a new file, which is root's
}

// openEdited reads a file of at most so many bytes. A file that does not exist is empty.
func openEdited(path string, mode os.FileMode, most int64) (editedFile, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	opened, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return editedFile{path: path, mode: mode}, nil
	}
	if err != nil {
		return editedFile{}, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return editedFile{}, err
	}
	if !info.Mode().IsRegular() {
		return editedFile{}, fmt.Errorf("%s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(opened, most+1))
	if err != nil {
		return editedFile{}, err
	}
	if int64(len(content)) > most {
		return editedFile{}, fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	return editedFile{path: path, content: content, mode: info.Mode(), owner: owner}, nil
}

// replace replaces the content and keeps mode and owner. It removes a link that leads
// nowhere.
func (f editedFile) replace(content []byte) (err error) {
	const directoryMode = 0o755
	if err := os.MkdirAll(filepath.Dir(f.path), directoryMode); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(f.path), ".wrenn-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(content)
	if err == nil && f.owner != nil {
		err = temporary.Chown(int(f.owner.Uid), int(f.owner.Gid))
	}
	if err := errors.Join(err, temporary.Chmod(f.mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), f.path)
}
