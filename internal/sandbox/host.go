package sandbox

import (
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/feed"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// host is what the sandboxes of a Manager share.
type host struct {
	directory string // holds a directory for each sandbox
	guests    *guest.Host
	feed      feed.Feed[Info]
	signer    workload.Signer
	log       *slog.Logger

	closed  atomic.Bool    // no client's operation begins any more
	closing atomic.Bool    // Close is pausing what runs
	left    chan struct{}  // closed by Leave
	tasks   sync.WaitGroup // goroutines that wait for the end of a VM, or adopt one

	mutex     sync.Mutex
	sandboxes map[string]*sandbox
}

func newHost(directory string, guests *guest.Host, log *slog.Logger) *host {
	return &host{directory: directory, guests: guests, log: log, left: make(chan struct{}), sandboxes: make(map[string]*sandbox)}
}

func (h *host) sandboxDirectory(id string) record.Directory {
	return record.Directory(filepath.Join(h.directory, id))
}

func (h *host) find(id string) (*sandbox, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	s, ok := h.sandboxes[id]
	if !ok {
		return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	return s, nil
}

// findOpen is find for calls that change a sandbox, which end when the host is closed.
func (h *host) findOpen(id string) (*sandbox, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	return h.find(id)
}

// add adds a new sandbox, unless its ID is taken.
func (h *host) add(s *sandbox) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed.Load() {
		return ErrClosed
	}
	if _, taken := h.sandboxes[s.id]; taken {
		return fmt.Errorf("%s: %w", s.id, ErrExists)
	}
	h.sandboxes[s.id] = s
	return nil
}

// keep adds a sandbox that an earlier host agent left.
func (h *host) keep(s *sandbox) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.sandboxes[s.id] = s
}

func (h *host) remove(s *sandbox) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.sandboxes, s.id)
}

func (h *host) all() []*sandbox {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return slices.Collect(maps.Values(h.sandboxes))
}

// list describes every sandbox, by ID.
func (h *host) list() []Info {
	all := h.all()
	infos := make([]Info, 0, len(all))
	for _, s := range all {
		infos = append(infos, s.info())
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.ID, b.ID) })
	return infos
}

// each iterates over every sandbox as T.
func each[T any](h *host, as func(*sandbox) T) func() iter.Seq[T] {
	return func() iter.Seq[T] {
		return func(yield func(T) bool) {
			for _, s := range h.all() {
				if !yield(as(s)) {
					return
				}
			}
		}
	}
}

// withoutPaths removes from a message to a sandbox's owner where this host keeps its data.
func (h *host) withoutPaths(text string) string {
	return strings.ReplaceAll(text, filepath.Dir(h.directory)+string(filepath.Separator), "")
}
