package permissions

import (
	"errors"
	"path/filepath"
	"strings"
)

// ErrInvalidPath is returned for a path that cannot name a file.
var ErrInvalidPath = errors.New("invalid path")

// maxPathBytes is PATH_MAX of Linux, the end included.
const maxPathBytes = 4096

// Resolve turns a path as a client writes it into an absolute, clean one:
// "~" and "~/x" are the user's home, a relative path starts at workdir, or at
// the home where workdir is empty. An empty path is workdir itself.
func Resolve(path string, user *User, workdir string) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", errors.Join(ErrInvalidPath, errors.New("the path holds a NUL byte"))
	}
	base := workdir
	if base == "" {
		base = user.Home
	}
	switch {
	case path == "~":
		path = user.Home
	case strings.HasPrefix(path, "~/"):
		path = filepath.Join(user.Home, path[2:])
	case strings.HasPrefix(path, "~"):
		return "", errors.Join(ErrInvalidPath, errors.New("another user's home must be written out"))
	case !filepath.IsAbs(path):
		path = filepath.Join(base, path)
	}
	path = filepath.Join("/", path) // a home need not be absolute: nobody checks /etc/passwd
	if len(path) >= maxPathBytes {
		return "", errors.Join(ErrInvalidPath, errors.New("the path is too long"))
	}
	return path, nil
}
