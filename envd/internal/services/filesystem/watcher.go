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

// watcher collects events for a client that polls. It stays known when what it
// watched has ended, so that its client learns why. The service's mutex guards
// all that changes.
type watcher struct {
	watch    *watch
	cancel   context.CancelFunc      // ends the watcher
	overflow context.CancelCauseFunc // ends its watching
	ended    chan struct{}

	asked     time.Time // when the client last showed itself
	events    []*pb.FilesystemEvent
	buffered  int           // bytes of events
	seen      int64         // the watch's count of those that events are complete for
	changed   chan struct{} // closed, and replaced, when seen or err changes
	err       error
	forgotten bool
}

// errExpired ends a watcher whose client went away.
var errExpired = errors.New("nobody asks for the watcher's events any more")

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

// GetWatcherEvents hands out what has happened since it was last called, up to
// this call. A watcher that ended says so once all that came before was handed out.
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

// RemoveWatcher ends a watcher; what it had collected is lost.
func (s *Service) RemoveWatcher(_ context.Context, request *connect.Request[pb.RemoveWatcherRequest]) (*connect.Response[pb.RemoveWatcherResponse], error) {
	w := s.forget(request.Msg.GetWatcherId())
	if w == nil {
		return nil, toConnect(errNoWatcher)
	}
	w.stop()
	return connect.NewResponse(&pb.RemoveWatcherResponse{}), nil
}

// stop ends a watcher that the service does not know any more.
func (w *watcher) stop() {
	w.cancel()
	<-w.ended
}

// collect is a watcher's life.
func (s *Service) collect(ctx, watching context.Context, id string, w *watcher) {
	defer s.collecting.Done()
	defer close(w.ended)
	defer w.watch.release()
	err := s.gather(watching, w)
	w.watch.kernel.close()
	s.mutex.Lock()
	w.err = err
	w.tellChange()
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

// gather keeps events until what is watched, the client or the context ends.
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

// tellChange wakes the calls that wait. The caller holds the service's mutex.
func (w *watcher) tellChange() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// lifetime is how long the watcher lives without being asked again.
func (s *Service) lifetime(w *watcher) (time.Duration, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	left := time.Until(w.asked.Add(s.limits.expireAfter))
	if left <= 0 {
		return 0, errExpired
	}
	return left, nil
}

// keep adds events to those that wait, within the limits, and tells calls that wait
// when these were all.
func (s *Service) keep(w *watcher, events []*pb.FilesystemEvent) error {
	size := 0
	for _, event := range events {
		size += proto.Size(event) + entryOverhead
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if w.seen != w.watch.seen {
		w.seen = w.watch.seen
		defer w.tellChange()
	}
	if w.forgotten || len(events) == 0 {
		return nil
	}
	if len(w.events)+len(events) > s.limits.events || size > s.limits.bufferedBytes {
		return errOverflow
	}
	for s.buffered+size > s.limits.bufferedBytes {
		// Whoever holds most of what all share makes room.
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
