package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// ErrCannotFreeze is returned for a file system that cannot be frozen.
var ErrCannotFreeze = errors.New("this file system cannot be frozen")

// FIFREEZE and FITHAW of linux/fs.h, which x/sys lacks.
const (
	freezeRequest = 0xc0045877
	thawRequest   = 0xc0045878
)

// FreezeFilesystem syncs the file system of path and suspends writes to it until
// ThawFilesystem. It is idempotent.
func FreezeFilesystem(path string) error {
	if err := askFilesystem(path, freezeRequest); !errors.Is(err, unix.EBUSY) {
		return err
	}
	return nil
}

// ThawFilesystem resumes writes. It is idempotent.
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
