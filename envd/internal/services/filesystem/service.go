// Package filesystem answers what is where in the guest, moves and removes it,
// and tells clients what changes. Contents travel through package files.
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
	listBytes int // what one listing may take of memory
	limits    limits

	mutex    sync.Mutex
	closed   bool
	watches  int // open ones, of streams and of watchers
	watchers map[string]*watcher
	buffered int // bytes of events that wait for clients that poll

	collecting sync.WaitGroup // watchers' goroutines
}

var _ filesystemconnect.FilesystemHandler = (*Service)(nil)

// New returns a service that watches nothing yet.
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
			// Below a file there is nothing: whoever asks whether a path exists
			// wants that answer.
			return fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.StatResponse{Entry: entry}), nil
}

// MakeDir makes a directory and the parents it lacks, all of them the caller's.
func (s *Service) MakeDir(_ context.Context, request *connect.Request[pb.MakeDirRequest]) (*connect.Response[pb.MakeDirResponse], error) {
	var entry *pb.EntryInfo
	err := s.at(request.Header(), request.Msg.GetPath(), func(user *permissions.User, path string) (err error) {
		// Clients take "already exists" for success, so only a directory may be there.
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

// Move renames, replacing a file that is at the destination.
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

// move makes the destination's parents only once nothing speaks against it.
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

// Remove deletes a path with everything below it; one that is not there is
// removed already. Of a link the link is removed.
func (s *Service) Remove(_ context.Context, request *connect.Request[pb.RemoveRequest]) (*connect.Response[pb.RemoveResponse], error) {
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) error {
		switch {
		case request.Msg.GetPath() == "":
			return errRemoveNothing // elsewhere it means the working directory
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

// at does work on a path, which the caller may have written in terms of its home,
// and gives its error a code.
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
