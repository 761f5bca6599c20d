// Package volume keeps teams' volumes on a host: directories that outlive sandboxes.
// Their content comes from guests and clients and is not trusted: no path, link or name in
// a volume leads out of it.
package volume

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

var (
	// ErrInvalid is returned for a malformed volume ID.
	ErrInvalid = errors.New("malformed volume ID")
	// ErrNotFound is returned for a volume that is not on this host.
	ErrNotFound = errors.New("volume not found")
)

// Names in a volume's directory. Uploads under way are beside the content, where no
// sandbox sees them.
const (
	contentDirectory  = "content"
	incomingDirectory = "incoming"
	keyFile           = "key"
	keySize           = 32
	// limitFile holds how many bytes the volume may hold, in decimal; without it, or
	// with 0, there is no limit.
	limitFile = "limit"
	// deletedPrefix begins the names of volumes that are being deleted.
	deletedPrefix = ".deleted-"
	// newPrefix begins the names of volumes that are being made.
	newPrefix = ".new-"
)

// Store is where a host keeps its volumes.
type Store struct {
	directory string
	reserve   int64 // bytes of the disk that volumes leave free

	mutex  sync.Mutex
	quotas map[string]*quota.Quota // by volume ID, of those used since the start
}

// OpenStore opens the volumes in a directory, which it makes if it is missing, and removes
// what a crash left. Volumes leave reserveBytes of the disk free.
func OpenStore(directory string, reserveBytes int64) (*Store, error) {
	// Only root gets in: a file in a volume can have any owner and mode.
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of volumes: %w", err)
	}
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("read the directory of volumes: %w", err)
	}
	store := &Store{directory: directory, reserve: reserveBytes, quotas: make(map[string]*quota.Quota)}
	for _, entry := range entries {
		path := filepath.Join(directory, entry.Name())
		if strings.HasPrefix(entry.Name(), deletedPrefix) || strings.HasPrefix(entry.Name(), newPrefix) {
			err = os.RemoveAll(path)
		} else {
			err = empty(filepath.Join(path, incomingDirectory))
		}
		if err != nil {
			return nil, fmt.Errorf("clear away what was left of volumes: %w", err)
		}
	}
	return store, nil
}

func empty(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(directory, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Create makes an empty volume that any user of a guest may write to; of one that is
// there only the limit changes. A limit of zero is none.
func (s *Store) Create(id string, maxBytes int64) error {
	if err := s.make(id); err != nil {
		return err
	}
	return s.SetLimit(id, maxBytes)
}

func (s *Store) make(volumeID string) (err error) {
	if !id.IsVolume(volumeID) {
		return fmt.Errorf("%w: %q", ErrInvalid, volumeID)
	}
	target := filepath.Join(s.directory, volumeID)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	made := filepath.Join(s.directory, newPrefix+rand.Text())
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }()
	for _, directory := range []string{made, filepath.Join(made, contentDirectory), filepath.Join(made, incomingDirectory)} {
		if err := os.Mkdir(directory, 0o700); err != nil {
			return fmt.Errorf("make volume %s: %w", volumeID, err)
		}
	}
	const allUsers = 0o777
	if err := os.Chmod(filepath.Join(made, contentDirectory), allUsers); err != nil {
		return fmt.Errorf("make volume %s: %w", volumeID, err)
	}
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	keyPath := filepath.Join(made, keyFile)
	if err := os.WriteFile(keyPath, key, 0o600); err != nil {
		return fmt.Errorf("make volume %s: %w", volumeID, err)
	}
	if err := errors.Join(disk.SyncFile(keyPath), disk.SyncFile(made)); err != nil {
		return err
	}
	if err := os.Rename(made, target); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("make volume %s: %w", volumeID, err)
	}
	return disk.SyncFile(s.directory)
}

// Delete deletes a volume and its content.
func (s *Store) Delete(id string) error {
	if err := s.check(id); err != nil {
		return err
	}
	doomed := filepath.Join(s.directory, deletedPrefix+rand.Text())
	if err := os.Rename(filepath.Join(s.directory, id), doomed); err != nil {
		return fmt.Errorf("delete volume %s: %w", id, err)
	}
	s.mutex.Lock()
	delete(s.quotas, id)
	s.mutex.Unlock()
	if err := disk.SyncFile(s.directory); err != nil {
		return err
	}
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("delete volume %s: %w", id, err)
	}
	return nil
}

// check returns ErrInvalid for a malformed ID, and ErrNotFound for one without a volume
// on this host.
func (s *Store) check(volumeID string) error {
	if !id.IsVolume(volumeID) {
		return fmt.Errorf("%w: %q", ErrInvalid, volumeID)
	}
	if _, err := os.Stat(filepath.Join(s.directory, volumeID, contentDirectory)); err != nil {
		return fmt.Errorf("%w: %s", ErrNotFound, volumeID)
	}
	return nil
}

// Content is the directory of a volume's files, and a secret of the volume that stays the
// same as long as the volume exists.
func (s *Store) Content(id string) (directory string, key []byte, err error) {
	if err := s.check(id); err != nil {
		return "", nil, err
	}
	key, err = os.ReadFile(filepath.Join(s.directory, id, keyFile))
	if err != nil || len(key) != keySize {
		return "", nil, fmt.Errorf("read the key of volume %s (%d bytes): %w", id, len(key), err)
	}
	return filepath.Join(s.directory, id, contentDirectory), key, nil
}

// Room returns ENOSPC where so many bytes more would use the disk's reserve.
func (s *Store) Room(bytes int64) error {
	_, available, err := disk.Usage(s.directory)
	if err != nil {
		return err
	}
	if bytes < 0 || uint64(bytes)+uint64(s.reserve) > available {
		return fmt.Errorf("the host's disk has no room for %d bytes more: %w", bytes, unix.ENOSPC)
	}
	return nil
}
