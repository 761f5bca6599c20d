package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// ErrCannotFreeze is returned for a file system that knows no freezing.
var ErrCannotFreeze = errors.New("this file system cannot be frozen")

// FIFREEZE and FITHAW of linux/fs.h, which x/sys lacks.
const (
	freezeRequest = 0xc0045877
	thawRequest   = 0xc0045878
)

// FreezeFilesystem writes out the file system that holds path and holds every
// write to it until ThawFilesystem. Freezing a frozen one does nothing.
func FreezeFilesystem(path string) error {
	if err := askFilesystem(path, freezeRequest); !errors.Is(err, unix.EBUSY) {
		return err
	}
	return nil
}

// ThawFilesystem lets writes go on. Thawing what is not frozen does nothing.
func ThawFilesystem(path string) error {
	if err := askFilesystem(path, thawRequest); !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

func askFilesystem(path string, request uint) error {
	directory, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("freeze or thaw: %w", err)
	}
	defer directory.Close()
	err = utils.WithDescriptor(directory, func(opened int) error { return unix.IoctlSetInt(opened, request, 0) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY):
		return fmt.Errorf("%s: %w", path, ErrCannotFreeze)
	default:
		return fmt.Errorf("freeze or thaw %s: %w", path, err)
	}
}
