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
)

// Service implements filesystem.Filesystem.
type Service struct {
	settings *settings.Settings
	log      *slog.Logger

	mutex    sync.Mutex
	watchers map[string]*watcher
}

var _ filesystemconnect.FilesystemHandler = (*Service)(nil)

// New returns a service that watches nothing yet.
func New(settings *settings.Settings, log *slog.Logger) *Service {
	return &Service{settings: settings, log: log, watchers: make(map[string]*watcher)}
}

// Close ends every watcher that a client created and did not remove.
func (s *Service) Close() {
	s.mutex.Lock()
	watchers := s.watchers
	s.watchers = make(map[string]*watcher)
	s.mutex.Unlock()
	for _, w := range watchers {
		w.close()
	}
}

// Stat describes one path.
func (s *Service) Stat(_ context.Context, request *connect.Request[pb.StatRequest]) (*connect.Response[pb.StatResponse], error) {
	var entry *pb.EntryInfo
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) (err error) {
		entry, err = describe(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.StatResponse{Entry: entry}), nil
}

// MakeDir makes a directory and the parents it lacks.
func (s *Service) MakeDir(_ context.Context, request *connect.Request[pb.MakeDirRequest]) (*connect.Response[pb.MakeDirResponse], error) {
	var entry *pb.EntryInfo
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) (err error) {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s: %w", path, fs.ErrExist)
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
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
		destination, err := permissions.Resolve(request.Msg.GetDestination(), user, s.settings.Workdir())
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(destination), 0o755); err != nil {
			return err
		}
		if err := os.Rename(source, destination); err != nil {
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

// Remove deletes a path with everything below it.
func (s *Service) Remove(_ context.Context, request *connect.Request[pb.RemoveRequest]) (*connect.Response[pb.RemoveResponse], error) {
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) error {
		if _, err := os.Lstat(path); err != nil {
			return err
		}
		return os.RemoveAll(path)
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.RemoveResponse{}), nil
}

// ListDir lists a directory, depth levels deep; 0 means 1.
func (s *Service) ListDir(_ context.Context, request *connect.Request[pb.ListDirRequest]) (*connect.Response[pb.ListDirResponse], error) {
	response := &pb.ListDirResponse{}
	depth := max(int(request.Msg.GetDepth()), 1)
	err := s.at(request.Header(), request.Msg.GetPath(), func(_ *permissions.User, path string) error {
		root, err := directoryAt(path)
		if err != nil {
			return err
		}
		return filepath.WalkDir(root, func(at string, found fs.DirEntry, err error) error {
			if at == root {
				return err
			}
			if err != nil {
				return nil //nolint:nilerr // what vanished or may not be read is left out
			}
			below, err := filepath.Rel(root, at)
			if err != nil {
				return err
			}
			entry, err := describe(filepath.Join(path, below))
			if err != nil {
				return nil //nolint:nilerr // it vanished meanwhile
			}
			response.Entries = append(response.Entries, entry)
			if found.IsDir() && strings.Count(below, "/")+1 >= depth {
				return filepath.SkipDir
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(response), nil
}

// directoryAt follows links to a directory.
func directoryAt(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s: %w", path, syscall.ENOTDIR)
	}
	return filepath.EvalSymlinks(path)
}

// at does work on a path as the caller, and gives its error a code.
func (s *Service) at(header http.Header, path string, work func(user *permissions.User, path string) error) error {
	user, err := s.settings.Caller(header)
	if err != nil {
		return toConnect(err)
	}
	resolved, err := permissions.Resolve(path, user, s.settings.Workdir())
	if err != nil {
		return toConnect(err)
	}
	return toConnect(user.Do(func() error { return work(user, resolved) }))
}

// toConnect is the one place that gives this package's errors their codes.
func toConnect(err error) error {
	if err == nil {
		return nil
	}
	code := connect.CodeInternal
	switch {
	case errors.Is(err, permissions.ErrUnknownUser):
		code = connect.CodeUnauthenticated
	case errors.Is(err, permissions.ErrInvalidPath), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EINVAL),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EXDEV), errors.Is(err, errNetworkMount):
		code = connect.CodeInvalidArgument
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoWatcher):
		code = connect.CodeNotFound
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EISDIR):
		code = connect.CodeAlreadyExists
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code = connect.CodePermissionDenied
	case errors.Is(err, errOverflow), errors.Is(err, errTooManyWatchers), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = connect.CodeResourceExhausted
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	}
	return connect.NewError(code, err)
}
