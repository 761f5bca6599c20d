package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadKeys reads root keys from files, newest first. A file holds keys of KeySize bytes,
// one after the other, newest first.
func ReadKeys(newest string, older ...string) ([][]byte, error) {
	var keys [][]byte
	for _, path := range append([]string{newest}, older...) {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read root keys: %w", err)
		}
		if len(content) == 0 || len(content)%KeySize != 0 {
			return nil, fmt.Errorf("%s: root keys have %d bytes each, and the file has %d", path, KeySize, len(content))
		}
		for ; len(content) > 0; content = content[KeySize:] {
			keys = append(keys, content[:KeySize:KeySize])
		}
	}
	return keys, nil
}

// NewKey makes a root key.
func NewKey() []byte {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails
	return key
}

// RotateKeyFile puts a new root key before those of a file. Readers see the old content
// or the new. The new one is on the disk when it returns: a key must survive a loss of
// power if values that it sealed do.
func RotateKeyFile(path string) (KeyID, error) {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return KeyID{}, fmt.Errorf("rotate root keys: %w", err)
	}
	defer directory.Close()
	// Without the lock, one of two concurrent rotations would lose its key.
	if err := unix.Flock(int(directory.Fd()), unix.LOCK_EX); err != nil {
		return KeyID{}, fmt.Errorf("lock %s: %w", directory.Name(), err)
	}
	keys, err := ReadKeys(path)
	if err != nil {
		return KeyID{}, err
	}
	keys = append([][]byte{NewKey()}, keys...)
	if err := replaceKeys(path, keys); err != nil {
		return KeyID{}, fmt.Errorf("write root keys: %w", err)
	}
	if err := directory.Sync(); err != nil {
		return KeyID{}, fmt.Errorf("write root keys: %w", err)
	}
	return IDOf(keys[0])
}

// replaceKeys replaces a file of keys and keeps its owner and mode.
func replaceKeys(path string, keys [][]byte) error {
	old, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner, known := old.Sys().(*syscall.Stat_t)
	if !known {
		return fmt.Errorf("find the owner of %s", path)
	}
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	for _, key := range keys {
		_, writeErr := file.Write(key)
		err = errors.Join(err, writeErr)
	}
	err = errors.Join(err, file.Chown(int(owner.Uid), int(owner.Gid)), file.Chmod(old.Mode().Perm()), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
