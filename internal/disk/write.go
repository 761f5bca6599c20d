package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile replaces a file's content durably and atomically: after a crash of this process
// or of the machine, the file has the old content or the new, and the new one if WriteFile
// returned nil. The temporary file of an interrupted call is replaced by the next one.
func WriteFile(path string, content []byte, mode os.FileMode) error {
	temporary := path + ".new"
	if err := writeNew(temporary, content, mode); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), RemoveIfThere(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), RemoveIfThere(temporary))
	}
	return SyncFile(filepath.Dir(path))
}

// writeNew writes a new file, which no other process has open, and makes it durable.
func writeNew(path string, content []byte, mode os.FileMode) (err error) {
	if err := RemoveIfThere(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.Sync()
}

// RemoveIfThere removes a file. A missing file is no error.
func RemoveIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
