package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
)

// roomEvery is how many bytes of an upload are written between two checks of the room.
const roomEvery = 4 << 20

func readFile(_ *Store, root contents, w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r.URL.Query())
	if err != nil {
		return err
	}
	// Opening a named pipe must not wait for a writer.
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("read %s: %w", name, syscall.EISDIR)
	}
	if !info.Mode().IsRegular() {
		return badRequest("the path is not a file")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", info.ModTime(), file)
	return nil
}

// writeFile puts a file in place as a whole or not at all. Until then a file of that name
// stays.
func writeFile(s *Store, root contents, w http.ResponseWriter, r *http.Request) error {
	name, err := nameOf(r.URL.Query())
	if err != nil {
		return err
	}
	wanted, err := attributesOf(r.URL.Query())
	if err != nil {
		return err
	}
	parent, err := openParent(root, name, wanted.force)
	if err != nil {
		return err
	}
	defer parent.Close()
	base := path.Base(name)
	if wanted, err = wanted.withDefaults(parent, base); err != nil {
		return err
	}
	if err := s.Room(max(r.ContentLength, 0)); err != nil {
		return err
	}
	if err := root.fits(max(r.ContentLength, 0)); err != nil {
		return err
	}
	if err := s.receive(root, parent, base, wanted, r.Body); err != nil {
		return err
	}
	return answerWith(w, http.StatusCreated, root, name)
}

// openParent opens the directory of a file that is to be written.
func openParent(root contents, name string, force bool) (*os.File, error) {
	if name == "." {
		return nil, fmt.Errorf("write /: %w", syscall.EISDIR)
	}
	directory := path.Dir(name)
	if force {
		if err := root.makeDirectories(directory); err != nil {
			return nil, err
		}
	}
	return root.OpenFile(directory, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

// withDefaults fills in attributes that a request does not give: those of the file that is
// replaced, if there is one.
func (a attributes) withDefaults(parent *os.File, base string) (attributes, error) {
	var old unix.Stat_t
	err := unix.Fstatat(int(parent.Fd()), base, &old, unix.AT_SYMLINK_NOFOLLOW)
	kind := old.Mode & unix.S_IFMT
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && kind == unix.S_IFLNK:
		old.Mode = defaultOfFile
	case err != nil:
		return a, &fs.PathError{Op: "stat", Path: base, Err: err}
	case kind == unix.S_IFDIR:
		return a, fmt.Errorf("write %s: %w", base, syscall.EISDIR)
	}
	if a.uid == anyID {
		a.uid = int64(old.Uid)
	}
	if a.gid == anyID {
		a.gid = int64(old.Gid)
	}
	if a.mode == anyID {
		a.mode = int64(old.Mode & modeMask)
	}
	return a, nil
}

// receive writes a body to a file outside the content, and then moves it in place.
func (s *Store) receive(root contents, parent *os.File, base string, wanted attributes, body io.Reader) (err error) {
	temporary := filepath.Join(filepath.Dir(root.Name()), incomingDirectory, rand.Text())
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	placed, reserved := false, int64(0)
	defer func() {
		err = errors.Join(err, file.Close())
		if !placed {
			root.quota.Give(reserved)
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	reserved, err = s.copyWithRoom(file, root.quota, body)
	if err != nil {
		return err
	}
	err = errors.Join(file.Chown(int(wanted.uid), int(wanted.gid)), file.Chmod(fileMode(wanted.mode)), file.Sync())
	if err != nil {
		return err
	}
	if err := root.quota.Place(temporary, int(parent.Fd()), base, reserved); err != nil {
		return &fs.PathError{Op: "write", Path: base, Err: err}
	}
	placed = true
	return parent.Sync()
}

// copyWithRoom copies a body while there is room. It returns how much of the volume's room
// it has reserved, also when it fails.
func (s *Store) copyWithRoom(file *os.File, limit *quota.Quota, body io.Reader) (reserved int64, err error) {
	for {
		copied, copyErr := io.CopyN(file, body, roomEvery)
		if copyErr != nil && !errors.Is(copyErr, io.EOF) {
			return reserved, fmt.Errorf("receive a file: %w", copyErr)
		}
		taken := quota.Charge(copied)
		if err := limit.Reserve(taken); err != nil {
			return reserved, err
		}
		reserved += taken
		if copyErr != nil {
			return reserved, nil
		}
		if err := s.Room(copied); err != nil {
			return reserved, err
		}
	}
}
