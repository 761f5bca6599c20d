// Package filesystem lists, describes, moves and removes files of the guest, and reports
// changes to clients. Package files serves their contents.
package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/gen/filesystem/filesystemconnect"
	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/settings"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// Service implements filesystem.Filesystem. Make one with New.
type Service struct {
	settings  *settings.Settings
	log       *slog.Logger
	listBytes int // the most memory that one listing may use
	limits    limits

	mutex    sync.Mutex
	closed   bool
	watches  int // open ones, of streams and of watchers
	watchers map[string]*watcher
	buffered int // bytes of events that wait for polling clients

	collecting sync.WaitGroup // watchers' goroutines
}

var _ filesystemconnect.FilesystemHandler = (*Service)(nil)

// New returns a service without watches.
func New(settings *settings.Settings, log *slog.Logger) *Service {
	return &Service{
		settings: settings, log: log, listBytes: maxListBytes, limits: defaultLimits,
		watchers: make(map[string]*watcher),
	}
}

// Stat describes one path.
func (s *Service) Stat(_ context.Context, request *connect.Request[pb.StatRequest]) (*connect.Response[pb.StatResponse], error) {
	var entry *pb.EntryInfo
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) (err error) {
		entry, err = describe(path)
		if errors.Is(err, syscall.ENOTDIR) {
			// Clients that ask whether a path below a file exists expect this error.
			return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.StatResponse{Entry: entry}), nil
}

// MakeDir makes a directory and its missing parents, which belong to the caller.
func (s *Service) MakeDir(_ context.Context, request *connect.Request[pb.MakeDirRequest]) (*connect.Response[pb.MakeDirResponse], error) {
	var entry *pb.EntryInfo
	err := s.at(request.Header(), request.Msg.GetPath(), func(user *permissions.User, path string) (err error) {
		// Clients treat "already exists" as success, so it is for directories only.
		if info, err := os.Stat(path); err == nil {
			if info.IsDir() {
				return fmt.Errorf("%s: %w", path, fs.ErrExist)
			}
			return fmt.Errorf("%s exists: %w", path, errNotDirectory)
		}
		if err := user.MakeDirectories(path); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %w", err, errNotDirectory) // a link to nothing
		} else if err != nil {
			return err
		}
		entry, err = describe(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.MakeDirResponse{Entry: entry}), nil
}

// Move renames, and replaces a file at the destination.
func (s *Service) Move(_ context.Context, request *connect.Request[pb.MoveRequest]) (*connect.Response[pb.MoveResponse], error) {
	var entry *pb.EntryInfo
	err := s.at(request.Header(), request.Msg.GetSource(), func(user *permissions.User, source string) error {
		destination, err := shared.Resolve(request.Msg.GetDestination(), user.Home, s.settings.Workdir())
		if err != nil {
			return err
		}
		if err := move(user, source, destination); err != nil {
			return err
		}
		entry, err = describe(destination)
		return err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.MoveResponse{Entry: entry}), nil
}

// move validates first, so that a refused move makes no directories.
func move(user *permissions.User, source, destination string) error {
	if _, err := os.Lstat(source); err != nil {
		return err
	}
	if source == destination {
		return fmt.Errorf("%s: %w", source, errSamePlace)
	}
	if strings.HasPrefix(destination, strings.TrimSuffix(source, "/")+"/") {
		return fmt.Errorf("%s to %s: %w", source, destination, errIntoItself)
	}
	if err := user.MakeDirectories(filepath.Dir(destination)); err != nil {
		return err
	}
	return os.Rename(source, destination)
}

// Remove deletes a path recursively; of a symbolic link, the link itself. It succeeds if
// the path does not exist.
func (s *Service) Remove(_ context.Context, request *connect.Request[pb.RemoveRequest]) (*connect.Response[pb.RemoveResponse], error) {
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) error {
		switch {
		case request.Msg.GetPath() == "":
			return errRemoveNothing // in other calls it means the working directory
		case path == "/":
			return errRemoveRoot
		}
		return os.RemoveAll(path)
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.RemoveResponse{}), nil
}

// at resolves a path for the caller, calls work with it, and maps its error to a code.
func (s *Service) at(header http.Header, path string, work func(user *permissions.User, path string) error) error {
	user, err := s.settings.Caller(header)
	if err != nil {
		return toConnect(err)
	}
	resolved, err := shared.Resolve(path, user.Home, s.settings.Workdir())
	if err != nil {
		return toConnect(err)
	}
	return toConnect(work(user, resolved))
}
