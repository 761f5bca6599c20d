// Package filesystem is what envd's services share about files: how a client's path
// is resolved, what an entry is, what is attached to it, and what is mounted.
package filesystem

import (
	"errors"
	"path/filepath"
	"strings"
)

// ErrInvalidPath is returned for a path that cannot name a file.
var ErrInvalidPath = errors.New("invalid path")

// maxPathBytes is PATH_MAX of Linux, the terminating NUL included.
const maxPathBytes = 4096

// UploadPrefix starts the names of files whose upload is not complete. No event is
// sent about them.
const UploadPrefix = ".wrenn-upload-"

// Resolve turns a path as a client writes it into an absolute, clean one: "~" and
// "~/x" are the user's home, a relative path starts at workdir, or at home where
// workdir is empty. An empty path is workdir itself.
func Resolve(path, home, workdir string) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", errors.Join(ErrInvalidPath, errors.New("the path holds a NUL byte"))
	}
	base := workdir
	if base == "" {
		base = home
	}
	switch {
	case path == "~":
		path = home
	case strings.HasPrefix(path, "~/"):
		path = filepath.Join(home, path[2:])
	case strings.HasPrefix(path, "~"):
		return "", errors.Join(ErrInvalidPath, errors.New("another user's home must be written out"))
	case !filepath.IsAbs(path):
		path = filepath.Join(base, path)
	}
	path = filepath.Join("/", path) // /etc/passwd may hold a home that is not absolute
	if len(path) >= maxPathBytes {
		return "", errors.Join(ErrInvalidPath, errors.New("the path is too long"))
	}
	return path, nil
}
