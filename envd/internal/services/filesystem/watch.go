package filesystem

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/keepalive"
)

var (
	errNoWatcher       = errors.New("no such watcher")
	errTooManyWatchers = errors.New("there are too many watchers: remove some")
	errNetworkMount    = errors.New("the directory is on a network mount, whose changes are not all seen: allow it in the request")
	errOverflow        = errors.New("changes came faster than they could be told: some are missing")
)

const (
	// maxWatchers and maxEvents bound what clients that poll can pile up.
	maxWatchers = 128
	maxEvents   = 16384
)

// UploadPrefix starts the names of files that are not whole yet. Nobody is told
// of them.
const UploadPrefix = ".wrenn-upload-"

// watchOptions is what WatchDir and CreateWatcher have in common.
type watchOptions interface {
	GetPath() string
	GetRecursive() bool
	GetIncludeEntry() bool
	GetAllowNetworkMounts() bool
}

// watch is one watched directory.
type watch struct {
	inotify      *fsnotify.Watcher
	root         string
	recursive    bool
	includeEntry bool
}

// openWatch starts to watch as the caller: what a user cannot read cannot be
// watched either.
func (s *Service) openWatch(header http.Header, options watchOptions) (*watch, error) {
	var w *watch
	err := s.at(header, options.GetPath(), func(_ *permissions.User, path string) error {
		root, err := directoryAt(path)
		if err != nil {
			return err
		}
		if !options.GetAllowNetworkMounts() && onNetwork(root) {
			return errNetworkMount
		}
		inotify, err := fsnotify.NewBufferedWatcher(maxEvents)
		if err != nil {
			return err
		}
		w = &watch{inotify: inotify, root: root, recursive: options.GetRecursive(), includeEntry: options.GetIncludeEntry()}
		if err := w.add(root); err != nil {
			return errors.Join(err, inotify.Close())
		}
		return nil
	})
	return w, err
}

// add watches a directory and, when asked to, what is below it.
func (w *watch) add(directory string) error {
	if !w.recursive {
		return w.inotify.Add(directory)
	}
	return filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			if path == directory {
				return err
			}
			return nil
		}
		if err := w.inotify.Add(path); err != nil && path == directory {
			return err
		}
		return nil
	})
}

// next returns the events that one change stands for.
func (w *watch) next(ctx context.Context, wake <-chan time.Time) ([]*pb.FilesystemEvent, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wake:
			return nil, nil
		case err, open := <-w.inotify.Errors:
			if !open {
				return nil, os.ErrClosed
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				return nil, errOverflow
			}
			return nil, err
		case change, open := <-w.inotify.Events:
			if !open {
				return nil, os.ErrClosed
			}
			if events := w.translate(change); len(events) > 0 {
				return events, nil
			}
		}
	}
}

// translate names a change as the protocol does, relative to the root.
func (w *watch) translate(change fsnotify.Event) []*pb.FilesystemEvent {
	name, err := filepath.Rel(w.root, change.Name)
	if err != nil || name == "." || strings.HasPrefix(filepath.Base(name), UploadPrefix) {
		return nil
	}
	if change.Has(fsnotify.Create) && w.recursive {
		if info, err := os.Lstat(change.Name); err == nil && info.IsDir() {
			_ = w.add(change.Name) // it may be gone again: its removal is an event, too
		}
	}
	var events []*pb.FilesystemEvent
	for _, kind := range []struct {
		op  fsnotify.Op
		own pb.EventType
	}{
		{fsnotify.Create, pb.EventType_EVENT_TYPE_CREATE},
		{fsnotify.Write, pb.EventType_EVENT_TYPE_WRITE},
		{fsnotify.Remove, pb.EventType_EVENT_TYPE_REMOVE},
		{fsnotify.Rename, pb.EventType_EVENT_TYPE_RENAME},
		{fsnotify.Chmod, pb.EventType_EVENT_TYPE_CHMOD},
	} {
		if !change.Has(kind.op) {
			continue
		}
		event := &pb.FilesystemEvent{Name: name, Type: kind.own}
		if w.includeEntry {
			event.Entry, _ = describe(change.Name) // gone already: the event stands without
		}
		events = append(events, event)
	}
	return events
}

// onNetwork tells file systems on which other machines' changes go unseen.
// Source: statfs(2).
func onNetwork(path string) bool {
	const fuse, cifs, smb2, ninep = 0x65735546, 0xFF534D42, 0xFE534D42, 0x01021997
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return false
	}
	switch uint32(stat.Type) {
	case unix.NFS_SUPER_MAGIC, fuse, cifs, smb2, ninep:
		return true
	default:
		return false
	}
}

// WatchDir streams changes until the client leaves.
func (s *Service) WatchDir(ctx context.Context, request *connect.Request[pb.WatchDirRequest], stream *connect.ServerStream[pb.WatchDirResponse]) error {
	w, err := s.openWatch(request.Header(), request.Msg)
	if err != nil {
		return err
	}
	defer func() { _ = w.inotify.Close() }()
	started := &pb.WatchDirResponse{Event: &pb.WatchDirResponse_Start{Start: &pb.WatchDirResponse_StartEvent{}}}
	if err := stream.Send(started); err != nil {
		return err
	}
	ping := time.NewTicker(keepalive.Interval(request.Header()))
	defer ping.Stop()
	for {
		events, err := w.next(ctx, ping.C)
		if err != nil {
			return toConnect(err)
		}
		if events == nil {
			alive := &pb.WatchDirResponse{Event: &pb.WatchDirResponse_Keepalive{Keepalive: &pb.WatchDirResponse_KeepAlive{}}}
			if err := stream.Send(alive); err != nil {
				return err
			}
		}
		for _, event := range events {
			response := &pb.WatchDirResponse{Event: &pb.WatchDirResponse_Filesystem{Filesystem: event}}
			if err := stream.Send(response); err != nil {
				return err
			}
		}
	}
}

// watcher collects events for a client that polls.
type watcher struct {
	watch  *watch
	cancel context.CancelFunc
	ended  chan struct{}

	mutex  sync.Mutex
	events []*pb.FilesystemEvent
	err    error
}

func (w *watcher) collect(ctx context.Context) {
	defer close(w.ended)
	for {
		events, err := w.watch.next(ctx, nil)
		w.mutex.Lock()
		if len(w.events)+len(events) > maxEvents {
			err = errOverflow
		}
		if err != nil {
			w.err = err
			w.mutex.Unlock()
			return
		}
		w.events = append(w.events, events...)
		w.mutex.Unlock()
	}
}

func (w *watcher) close() {
	w.cancel()
	<-w.ended
	_ = w.watch.inotify.Close()
}

// CreateWatcher is WatchDir for a client that cannot hold a stream.
func (s *Service) CreateWatcher(ctx context.Context, request *connect.Request[pb.CreateWatcherRequest]) (*connect.Response[pb.CreateWatcherResponse], error) {
	opened, err := s.openWatch(request.Header(), request.Msg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &watcher{watch: opened, cancel: cancel, ended: make(chan struct{})}
	id := rand.Text()
	s.mutex.Lock()
	full := len(s.watchers) >= maxWatchers
	if !full {
		s.watchers[id] = w
	}
	s.mutex.Unlock()
	go w.collect(ctx)
	if full {
		w.close()
		return nil, toConnect(errTooManyWatchers)
	}
	return connect.NewResponse(&pb.CreateWatcherResponse{WatcherId: id}), nil
}

// GetWatcherEvents hands out what has come since it was last called.
func (s *Service) GetWatcherEvents(_ context.Context, request *connect.Request[pb.GetWatcherEventsRequest]) (*connect.Response[pb.GetWatcherEventsResponse], error) {
	s.mutex.Lock()
	w := s.watchers[request.Msg.GetWatcherId()]
	s.mutex.Unlock()
	if w == nil {
		return nil, toConnect(errNoWatcher)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.events) == 0 && w.err != nil {
		return nil, toConnect(w.err)
	}
	events := w.events
	w.events = nil
	return connect.NewResponse(&pb.GetWatcherEventsResponse{Events: events}), nil
}

// RemoveWatcher ends a watcher; what it had collected is lost.
func (s *Service) RemoveWatcher(_ context.Context, request *connect.Request[pb.RemoveWatcherRequest]) (*connect.Response[pb.RemoveWatcherResponse], error) {
	s.mutex.Lock()
	w := s.watchers[request.Msg.GetWatcherId()]
	delete(s.watchers, request.Msg.GetWatcherId())
	s.mutex.Unlock()
	if w == nil {
		return nil, toConnect(errNoWatcher)
	}
	w.close()
	return connect.NewResponse(&pb.RemoveWatcherResponse{}), nil
}
