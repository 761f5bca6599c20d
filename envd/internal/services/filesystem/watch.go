package filesystem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/filesystem"
	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// moveGrace is how long the second half of a rename is waited for. If it does not come, the
// directory was moved out of the watched tree.
const moveGrace = 50 * time.Millisecond

// watchOptions is what WatchDir and CreateWatcher have in common.
type watchOptions interface {
	GetPath() string
	GetRecursive() bool
	GetIncludeEntry() bool
	GetAllowNetworkMounts() bool
}

// watch is one watched directory; if recursive, with its subdirectories. One goroutine at a
// time uses it.
type watch struct {
	options watchOptions
	limits  limits
	kernel  *inotify
	release func() // ends its count among the service's watches

	root     string // without links
	shown    string // root as the client wrote it
	identity os.FileInfo
	tree     *tree

	// moving holds directories after the first half of a rename, by its cookie.
	moving map[uint32]departure
	// reported holds what a scan has reported and the kernel may report again.
	reported map[place]struct{}

	// asked counts the calls that want all changes up to now; seen is the count for
	// which next has returned all of them.
	asked atomic.Int64
	seen  int64

	events    []*pb.FilesystemEvent // of the current batch
	bytes     int                   // size of events
	describer shared.Describer
	mounts    mounts // nil until they are needed
}

type departure struct {
	directory *directory
	at        time.Time
}

type place struct {
	in   *directory
	name string
}

// openWatch starts a watch, which the caller closes.
func (s *Service) openWatch(ctx context.Context, header http.Header, options watchOptions) (*watch, error) {
	if err := s.reserve(); err != nil {
		return nil, toConnect(err)
	}
	kernel, err := openInotify()
	if err != nil {
		s.unreserve()
		return nil, toConnect(err)
	}
	w := &watch{
		options: options, limits: s.limits, kernel: kernel, release: s.unreserve,
		moving: make(map[uint32]departure), reported: make(map[place]struct{}),
	}
	err = s.at(header, options.GetPath(), func(_ *permissions.User, path string) error {
		w.shown = path
		return w.begin(ctx)
	})
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *watch) close() {
	w.kernel.close()
	w.release()
}

func (w *watch) begin(ctx context.Context) (err error) {
	if err := w.refuseNetwork(w.shown); err != nil {
		return err // before stat, which can block without end
	}
	if w.root, err = directoryAt(w.shown); err != nil {
		return err
	}
	if err := w.refuseNetwork(w.root); err != nil {
		return err
	}
	number, err := w.kernel.add(w.root, changeMask|selfMask)
	if err != nil {
		return err
	}
	if w.identity, err = os.Lstat(w.root); err != nil {
		return err
	}
	w.tree = newTree(number)
	if !w.options.GetRecursive() {
		return nil
	}
	return w.scan(ctx, w.tree.root, silent)
}

func (w *watch) refuseNetwork(path string) error {
	if w.options.GetAllowNetworkMounts() {
		return nil
	}
	if w.mounts == nil {
		known, err := readMounts(shared.MountTable)
		if err != nil {
			return err
		}
		w.mounts = known
	}
	if w.mounts.onNetwork(path) {
		return fmt.Errorf("%s: %w", path, errNetworkMount)
	}
	return nil
}

// next waits for changes and returns their events. With an error it returns the events
// before it. It returns neither when the time until has come, or when a call has asked for
// all events and the kernel has no more.
func (w *watch) next(ctx context.Context, until time.Time) ([]*pb.FilesystemEvent, error) {
	for {
		asked := w.asked.Load()
		wake := until
		if grace := time.Now().Add(moveGrace); len(w.moving) > 0 && grace.Before(until) {
			wake = grace
		}
		w.kernel.wakeAt(wake)
		// Checked after wakeAt, which may have reverted a wake.
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if w.asked.Load() > w.seen {
			w.wake()
		}
		changes, drained, err := w.kernel.read()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if drained {
			clear(w.reported)
			w.forgetDeparted()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// The kernel had no more changes after the counted calls.
			answered := asked > w.seen
			w.seen = asked
			if err := w.checkRoot(); err != nil || answered || !time.Now().Before(until) {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		events, err := w.translate(ctx, changes)
		if len(events) > 0 || err != nil || !time.Now().Before(until) {
			return events, err
		}
	}
}

// interruptOn makes next return when the context ends.
func (w *watch) interruptOn(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, w.wake)
}

// wake makes a blocked next check the context and the root. It is safe for concurrent use.
func (w *watch) wake() { w.kernel.wakeAt(time.Unix(1, 0)) }

// checkRoot detects what inotify does not report: that a directory above the root was
// moved, or that the root was removed while it was open.
func (w *watch) checkRoot() error {
	now, err := os.Lstat(w.root)
	if err != nil || !os.SameFile(now, w.identity) {
		return fmt.Errorf("%s: %w", w.shown, errRootGone)
	}
	return nil
}

// translate turns changes into events of the protocol.
func (w *watch) translate(ctx context.Context, changes []change) ([]*pb.FilesystemEvent, error) {
	w.events, w.bytes, w.describer, w.mounts = nil, 0, shared.NewDescriber(), nil
	for _, c := range changes {
		if err := w.apply(ctx, c); err != nil {
			return w.events, err
		}
	}
	if !w.options.GetRecursive() && !w.options.GetIncludeEntry() {
		return w.events, nil
	}
	return w.events, w.checkRoot()
}

// apply applies one change to the tree and adds its events.
func (w *watch) apply(ctx context.Context, c change) error {
	if c.mask&unix.IN_Q_OVERFLOW != 0 {
		return errOverflow
	}
	d := w.tree.byWatch[c.watch]
	if d == nil {
		return nil // queued before the watch was removed
	}
	const gone = unix.IN_IGNORED | unix.IN_UNMOUNT | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if c.mask&gone != 0 {
		if d == w.tree.root {
			return fmt.Errorf("%s: %w", w.shown, errRootGone)
		}
		if c.mask&unix.IN_IGNORED != 0 {
			w.forget(d)
		}
		return nil
	}
	if c.name == "" {
		return nil // its parent reports it, with the name
	}
	switch {
	case c.mask&unix.IN_CREATE != 0:
		if _, told := w.reported[place{d, c.name}]; !told {
			w.tell(d, c.name, pb.EventType_EVENT_TYPE_CREATE)
		}
		delete(w.reported, place{d, c.name})
	case c.mask&unix.IN_MOVED_TO != 0:
		delete(w.reported, place{d, c.name})
		w.tell(d, c.name, pb.EventType_EVENT_TYPE_CREATE)
		w.arrive(c.cookie, d, c.name)
	case c.mask&unix.IN_MOVED_FROM != 0:
		delete(w.reported, place{d, c.name})
		w.tell(d, c.name, pb.EventType_EVENT_TYPE_RENAME)
		if left := w.tree.take(d, c.name); left != nil {
			w.moving[c.cookie] = departure{left, time.Now()}
		}
	case c.mask&unix.IN_DELETE != 0:
		delete(w.reported, place{d, c.name})
		w.tell(d, c.name, pb.EventType_EVENT_TYPE_REMOVE)
		if removed := w.tree.take(d, c.name); removed != nil {
			w.forget(removed)
		}
	case c.mask&unix.IN_MODIFY != 0:
		w.tell(d, c.name, pb.EventType_EVENT_TYPE_WRITE)
	case c.mask&unix.IN_ATTRIB != 0:
		w.tell(d, c.name, pb.EventType_EVENT_TYPE_CHMOD)
	}
	const appears = unix.IN_CREATE | unix.IN_MOVED_TO
	if c.mask&unix.IN_ISDIR != 0 && c.mask&appears != 0 && w.options.GetRecursive() {
		tell := present
		if c.mask&unix.IN_CREATE != 0 {
			tell = made
		}
		return w.follow(ctx, d, c.name, tell)
	}
	return nil
}

// tell adds an event about something in a directory.
func (w *watch) tell(d *directory, name string, kind pb.EventType) {
	if strings.HasPrefix(name, shared.UploadPrefix) {
		return
	}
	path := d.path(name)
	event := &pb.FilesystemEvent{Name: validUTF8(path), Type: kind}
	left := kind == pb.EventType_EVENT_TYPE_REMOVE || kind == pb.EventType_EVENT_TYPE_RENAME
	if w.options.GetIncludeEntry() && !left {
		// Without an entry if the file is gone already.
		if entry, err := w.describer.Describe(filepath.Join(w.root, path)); err == nil {
			entry.Path = filepath.Join(w.shown, path)
			event.Entry = toInfo(entry)
		}
	}
	w.events = append(w.events, event)
	w.bytes += proto.Size(event) + entryOverhead
}
