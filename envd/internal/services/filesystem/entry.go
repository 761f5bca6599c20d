package filesystem

import (
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

// describer describes entries. It remembers the names of owners, which are
// looked up in files, so it must not live longer than one request or batch.
type describer struct {
	users, groups map[uint32]string
}

func newDescriber() describer {
	return describer{users: make(map[uint32]string), groups: make(map[uint32]string)}
}

// describe says what is at a path: of a symbolic link the link itself, where it
// leads, and the type and mode of what is there, so that clients which go into
// directories go into this one.
func (d describer) describe(path string) (*pb.EntryInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	entry := &pb.EntryInfo{
		Name:         sayable(filepath.Base(path)),
		Path:         sayable(path),
		Type:         typeOf(info.Mode()),
		Size:         info.Size(),
		Mode:         uint32(info.Mode().Perm()),
		Permissions:  info.Mode().String(),
		ModifiedTime: timestamppb.New(info.ModTime()),
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		describeLink(entry, path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		entry.Owner = remember(d.users, stat.Uid, ownerName)
		entry.Group = remember(d.groups, stat.Gid, groupName)
	}
	if info.Mode().IsRegular() || info.IsDir() {
		for key, value := range Metadata(path) {
			if entry.Metadata == nil {
				entry.Metadata = make(map[string]string)
			}
			entry.Metadata[sayable(key)] = sayable(value)
		}
	}
	return entry, nil
}

func describeLink(entry *pb.EntryInfo, path string) {
	entry.IsSymlink = true
	entry.Type, entry.Mode = pb.FileType_FILE_TYPE_UNSPECIFIED, 0
	if info, err := os.Stat(path); err == nil {
		entry.Type, entry.Mode = typeOf(info.Mode()), uint32(info.Mode().Perm())
	}
	if target, err := os.Readlink(path); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		target = sayable(target)
		entry.SymlinkTarget = &target
	}
}

// sayable is text as the protocol can carry it. Linux takes any bytes for a
// name, protobuf only UTF-8: one odd file must not spoil a whole listing.
func sayable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func typeOf(mode fs.FileMode) pb.FileType {
	switch {
	case mode.IsDir():
		return pb.FileType_FILE_TYPE_DIRECTORY
	case mode.IsRegular():
		return pb.FileType_FILE_TYPE_FILE
	default:
		return pb.FileType_FILE_TYPE_UNSPECIFIED
	}
}

func remember(known map[uint32]string, id uint32, lookUp func(string) (string, error)) string {
	if name, ok := known[id]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(id), 10)
	if found, err := lookUp(name); err == nil {
		name = sayable(found)
	}
	known[id] = name
	return name
}

func ownerName(id string) (string, error) {
	found, err := user.LookupId(id)
	if err != nil {
		return "", err
	}
	return found.Username, nil
}

func groupName(id string) (string, error) {
	found, err := user.LookupGroupId(id)
	if err != nil {
		return "", err
	}
	return found.Name, nil
}
