package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

// MetadataPrefix starts the names of extended attributes that clients set.
const MetadataPrefix = "user.e2b."

// describe says what is at a path: of a symbolic link the link itself, and
// where it leads.
func describe(path string) (*pb.EntryInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	entry := &pb.EntryInfo{Name: filepath.Base(path), Path: path}
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err := os.Readlink(path); err == nil {
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(path), target)
			}
			entry.SymlinkTarget = &target
		}
	}
	entry.Type = typeOf(info.Mode())
	entry.Size = info.Size()
	entry.Mode = uint32(info.Mode().Perm())
	entry.Permissions = info.Mode().String()
	entry.ModifiedTime = timestamppb.New(info.ModTime())
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		entry.Owner, entry.Group = ownerName(stat.Uid), groupName(stat.Gid)
	}
	if info.Mode().IsRegular() || info.IsDir() {
		entry.Metadata = Metadata(path)
	}
	return entry, nil
}

func typeOf(mode fs.FileMode) pb.FileType {
	switch {
	case mode.IsDir():
		return pb.FileType_FILE_TYPE_DIRECTORY
	case mode&fs.ModeSymlink != 0:
		return pb.FileType_FILE_TYPE_SYMLINK
	case mode.IsRegular():
		return pb.FileType_FILE_TYPE_FILE
	default:
		return pb.FileType_FILE_TYPE_UNSPECIFIED
	}
}

func ownerName(id uint32) string {
	text := strconv.FormatUint(uint64(id), 10)
	if found, err := user.LookupId(text); err == nil {
		return found.Username
	}
	return text
}

func groupName(id uint32) string {
	text := strconv.FormatUint(uint64(id), 10)
	if found, err := user.LookupGroupId(text); err == nil {
		return found.Name
	}
	return text
}

// Metadata reads what clients have attached to a file; nil where there is
// nothing, or where the file system keeps no attributes.
func Metadata(path string) map[string]string {
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil || n == 0 {
		return nil
	}
	var metadata map[string]string
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		key, ours := strings.CutPrefix(name, MetadataPrefix)
		if !ours {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			continue
		}
		if metadata == nil {
			metadata = make(map[string]string)
		}
		metadata[key] = string(value[:n])
	}
	return metadata
}

// SetMetadata replaces everything clients have attached to a file.
func SetMetadata(path string, metadata map[string]string) error {
	for key := range Metadata(path) {
		if _, kept := metadata[key]; kept {
			continue
		}
		if err := unix.Lremovexattr(path, MetadataPrefix+key); err != nil && !errors.Is(err, unix.ENODATA) {
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
