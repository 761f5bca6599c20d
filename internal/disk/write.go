package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile makes a file hold content, durably and all at once: whatever ends
// this process or the machine, afterwards path is as it was before or as it
// shall be, and as it shall be if WriteFile returned nil. What an unfinished
// one left, beside the file, the next one replaces.
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

// writeNew writes a file that nobody else has open and makes it durable.
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

// RemoveIfThere removes a file; that there is none is fine.
func RemoveIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
