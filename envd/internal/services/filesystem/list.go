package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

const (
	// readAtOnce is how many names of a directory are read at once.
	readAtOnce = 256
	// maxListBytes bounds the memory of one listing. entryOverhead is what an entry
	// takes beyond its encoded size.
	maxListBytes  = 64 << 20
	entryOverhead = 256
)

// ListDir lists a directory, depth levels deep; 0 means 1. Unreadable directories below it
// are left out. The order is depth-first by name.
func (s *Service) ListDir(ctx context.Context, request *connect.Request[pb.ListDirRequest]) (*connect.Response[pb.ListDirResponse], error) {
	lister := &lister{ctx: ctx, describer: shared.NewDescriber(), budget: s.listBytes}
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) error {
		root, err := directoryAt(path)
		if err != nil {
			return err
		}
		lister.root, lister.shown = root, path
		return lister.list("", max(request.Msg.GetDepth(), 1))
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ListDirResponse{Entries: lister.entries}), nil
}

// directoryAt resolves links to a directory.
func directoryAt(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s: %w", path, errNotDirectory)
	}
	return filepath.EvalSymlinks(path)
}

// lister collects entries of one listing.
type lister struct {
	ctx       context.Context //nolint:containedctx // a lister lives for one request
	describer shared.Describer
	root      string // without links
	shown     string // root as the client wrote it
	budget    int    // bytes
	entries   []*pb.EntryInfo
}

type found struct {
	name        string
	isDirectory bool
	entry       *pb.EntryInfo
}

// list adds the entries of a directory, whose path is relative to the root.
func (l *lister) list(directory string, depth uint32) error {
	children, err := l.read(directory)
	if err != nil {
		return err
	}
	slices.SortFunc(children, func(a, b found) int { return strings.Compare(a.name, b.name) })
	for _, child := range children {
		l.entries = append(l.entries, child.entry)
		if !child.isDirectory || depth <= 1 {
			continue
		}
		err := l.list(filepath.Join(directory, child.name), depth-1)
		if err != nil && !isOutOfReach(err) {
			return err
		}
	}
	return nil
}

// read describes a directory's entries in batches: a directory can have more names than
// envd has memory.
func (l *lister) read(directory string) ([]found, error) {
	opened, err := openDirectory(filepath.Join(l.root, directory))
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	var children []found
	for {
		if err := context.Cause(l.ctx); err != nil {
			return nil, err
		}
		batch, err := opened.ReadDir(readAtOnce)
		for _, item := range batch {
			described, err := l.describer.Describe(filepath.Join(l.root, directory, item.Name()))
			if err != nil {
				continue // it was removed meanwhile, or cannot be read
			}
			described.Path = filepath.Join(l.shown, directory, item.Name())
			entry := toInfo(described)
			if l.budget -= proto.Size(entry) + entryOverhead; l.budget < 0 {
				return nil, fmt.Errorf("%s: %w", l.shown, errListTooLong)
			}
			children = append(children, found{item.Name(), entry.GetType() == pb.FileType_FILE_TYPE_DIRECTORY && !entry.GetIsSymlink(), entry})
		}
		if errors.Is(err, io.EOF) {
			return children, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// openDirectory opens a directory without following a link.
func openDirectory(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// isOutOfReach reports whether an error concerns one directory only: it was removed or
// replaced, or its FUSE program has ended or admits only its own user.
func isOutOfReach(err error) bool {
	for _, known := range []error{unix.EACCES, unix.EPERM, unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOTCONN, unix.ESTALE, unix.EIO} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
