package filesystem

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
)

// watcher collects events for a polling client. It stays registered after its watch has
// ended, so that the client gets the reason. The service's mutex guards its variables.
type watcher struct {
	watch    *watch
	cancel   context.CancelFunc      // ends the watcher
	overflow context.CancelCauseFunc // ends its watching
	ended    chan struct{}

	asked     time.Time // of the client's last call
	events    []*pb.FilesystemEvent
	buffered  int           // bytes of events
	seen      int64         // the watch's seen for which events is complete
	changed   chan struct{} // closed, and replaced, when seen or err changes
	err       error
	forgotten bool
}

// errExpired ends a watcher whose client does not call any more.
var errExpired = errors.New("the watcher's events were not asked for in time")

// CreateWatcher is WatchDir for a client that cannot hold a stream.
func (s *Service) CreateWatcher(ctx context.Context, request *connect.Request[pb.CreateWatcherRequest]) (*connect.Response[pb.CreateWatcherResponse], error) {
	opened, err := s.openWatch(ctx, request.Header(), request.Msg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	watching, overflow := context.WithCancelCause(ctx)
	w := &watcher{watch: opened, cancel: cancel, overflow: overflow, ended: make(chan struct{}), changed: make(chan struct{}), asked: time.Now()}
	id := rand.Text()
	if err := s.know(id, w); err != nil {
		cancel()
		opened.close()
		return nil, toConnect(err)
	}
	go s.collect(ctx, watching, id, w)
	return connect.NewResponse(&pb.CreateWatcherResponse{WatcherId: id}), nil
}

// GetWatcherEvents returns the events between the last call and this one. After the last
// event of a watch that has ended it returns the reason.
func (s *Service) GetWatcherEvents(ctx context.Context, request *connect.Request[pb.GetWatcherEventsRequest]) (*connect.Response[pb.GetWatcherEventsResponse], error) {
	s.mutex.Lock()
	w := s.watchers[request.Msg.GetWatcherId()]
	if w == nil {
		s.mutex.Unlock()
		return nil, toConnect(errNoWatcher)
	}
	w.asked = time.Now()
	s.mutex.Unlock()
	call := w.watch.asked.Add(1)
	w.watch.wake()
	for {
		s.mutex.Lock()
		if w.seen >= call || w.err != nil {
			break
		}
		changed := w.changed
		s.mutex.Unlock()
		select {
		case <-changed:
		case <-w.ended:
			return nil, toConnect(errNoWatcher)
		case <-ctx.Done():
			return nil, toConnect(ctx.Err())
		}
	}
	events, err := w.events, w.err
	s.drop(w)
	s.mutex.Unlock()
	if len(events) == 0 && err != nil {
		return nil, toConnect(err)
	}
	return connect.NewResponse(&pb.GetWatcherEventsResponse{Events: events}), nil
}

// RemoveWatcher ends a watcher and drops its events.
func (s *Service) RemoveWatcher(_ context.Context, request *connect.Request[pb.RemoveWatcherRequest]) (*connect.Response[pb.RemoveWatcherResponse], error) {
	w := s.forget(request.Msg.GetWatcherId())
	if w == nil {
		return nil, toConnect(errNoWatcher)
	}
	w.stop()
	return connect.NewResponse(&pb.RemoveWatcherResponse{}), nil
}

// stop ends a watcher that was removed from the service.
func (w *watcher) stop() {
	w.cancel()
	<-w.ended
}

// collect is the goroutine of a watcher.
func (s *Service) collect(ctx, watching context.Context, id string, w *watcher) {
	defer s.collecting.Done()
	defer close(w.ended)
	defer w.watch.release()
	err := s.gather(watching, w)
	w.watch.kernel.close()
	s.mutex.Lock()
	w.err = err
	w.announceChange()
	s.mutex.Unlock()
	for ctx.Err() == nil && !errors.Is(err, errExpired) {
		var left time.Duration
		if left, err = s.lifetime(w); err == nil {
			waitFor(ctx, left)
		}
	}
	s.forget(id)
	w.cancel()
}

// gather keeps events until the watch or the context ends, or the watcher expires.
func (s *Service) gather(ctx context.Context, w *watcher) error {
	defer w.watch.interruptOn(ctx)()
	for {
		left, err := s.lifetime(w)
		if err != nil {
			return err
		}
		events, ended := w.watch.next(ctx, time.Now().Add(left))
		if err := s.keep(w, events); err != nil {
			return err
		}
		if ended != nil {
			return ended
		}
	}
}

// announceChange wakes waiting calls. The caller holds the service's mutex.
func (w *watcher) announceChange() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// lifetime is how long the watcher lives without another call.
func (s *Service) lifetime(w *watcher) (time.Duration, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	left := time.Until(w.asked.Add(s.limits.expireAfter))
	if left <= 0 {
		return 0, errExpired
	}
	return left, nil
}

// keep queues events, within the limits, and wakes calls that wait for them.
func (s *Service) keep(w *watcher, events []*pb.FilesystemEvent) error {
	size := 0
	for _, event := range events {
		size += proto.Size(event) + entryOverhead
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if w.seen != w.watch.seen {
		w.seen = w.watch.seen
		defer w.announceChange()
	}
	if w.forgotten || len(events) == 0 {
		return nil
	}
	if len(w.events)+len(events) > s.limits.events || size > s.limits.bufferedBytes {
		return errOverflow
	}
	for s.buffered+size > s.limits.bufferedBytes {
		// The watcher with the most buffered bytes is ended to make room.
		largest := w
		for _, other := range s.watchers {
			if other.buffered > largest.buffered {
				largest = other
			}
		}
		s.drop(largest)
		largest.overflow(errOverflow)
		if largest == w {
			return errOverflow
		}
	}
	w.events = append(w.events, events...)
	w.buffered += size
	s.buffered += size
	return nil
}

func waitFor(ctx context.Context, duration time.Duration) {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
