package filesystem

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// MetadataPrefix starts the names of extended attributes that clients set.
const MetadataPrefix = "user.e2b."

// maxMetadataBytes bounds the metadata that is returned for one file: programs in the guest
// can attach more than an upload may.
const maxMetadataBytes = 64 << 10

// Metadata reads the metadata of a file; nil if it has none or the file system has no
// extended attributes. Attributes beyond 64 KiB in total are left out.
func Metadata(path string) map[string]string {
	var metadata map[string]string
	total := 0
	for _, name := range attributeNames(path) {
		key, ours := strings.CutPrefix(name, MetadataPrefix)
		if !ours {
			continue
		}
		size, err := unix.Lgetxattr(path, name, nil)
		if err != nil || total+len(key)+size > maxMetadataBytes {
			continue
		}
		value := make([]byte, size)
		if size, err = unix.Lgetxattr(path, name, value); err != nil {
			continue
		}
		total += len(key) + size
		if metadata == nil {
			metadata = make(map[string]string)
		}
		metadata[key] = string(value[:size])
	}
	return metadata
}

// SetMetadata replaces the metadata of a file.
func SetMetadata(path string, metadata map[string]string) error {
	for _, name := range attributeNames(path) {
		key, ours := strings.CutPrefix(name, MetadataPrefix)
		if _, kept := metadata[key]; kept || !ours {
			continue
		}
		if err := unix.Lremovexattr(path, name); err != nil && !errors.Is(err, unix.ENODATA) {
			return err
		}
	}
	for key, value := range metadata {
		if err := unix.Lsetxattr(path, MetadataPrefix+key, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

func attributeNames(path string) []string {
	size, err := unix.Llistxattr(path, nil)
	if err != nil || size == 0 {
		return nil
	}
	names := make([]byte, size)
	if size, err = unix.Llistxattr(path, names); err != nil || size == 0 {
		return nil // they have changed since
	}
	return strings.Split(strings.TrimRight(string(names[:size]), "\x00"), "\x00")
}
