package filesystem

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// describe describes one path.
func describe(path string) (*pb.EntryInfo, error) {
	entry, err := shared.NewDescriber().Describe(path)
	if err != nil {
		return nil, err
	}
	return toInfo(entry), nil
}

// toInfo is an entry as the protocol has it. A symbolic link has the type and mode of
// what it leads to, so that clients which descend into directories descend into this
// one.
func toInfo(entry shared.Entry) *pb.EntryInfo {
	info := &pb.EntryInfo{
		Name: validUTF8(entry.Name), Path: validUTF8(entry.Path), Type: typeOf(entry), Size: entry.Size,
		Mode: uint32(entry.Target.Perm()), Permissions: entry.Mode.String(), ModifiedTime: timestamppb.New(entry.Modified),
		Owner: validUTF8(entry.Owner), Group: validUTF8(entry.Group), IsSymlink: entry.IsLink(),
	}
	if entry.LinkTarget != "" {
		target := validUTF8(entry.LinkTarget)
		info.SymlinkTarget = &target
	}
	if len(entry.Metadata) > 0 {
		info.Metadata = make(map[string]string, len(entry.Metadata))
	}
	for key, value := range entry.Metadata {
		info.Metadata[validUTF8(key)] = validUTF8(value)
	}
	return info
}

// validUTF8 replaces bytes that protobuf cannot carry: Linux takes any bytes for a
// name, and one such name would fail a whole listing.
func validUTF8(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func typeOf(entry shared.Entry) pb.FileType {
	switch {
	case entry.Target.IsDir():
		return pb.FileType_FILE_TYPE_DIRECTORY
	case entry.Target.IsRegular():
		return pb.FileType_FILE_TYPE_FILE
	default:
		return pb.FileType_FILE_TYPE_UNSPECIFIED
	}
}
