package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"git.omukk.dev/wrenn/sandbox/internal/cgroup"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// slots is where guests get their network.
type slots interface {
	Acquire(ctx context.Context, internet bool) (*network.Slot, error)
	Adopt(name string) (*network.Slot, error)
	Release(slot *network.Slot)
	RemoveLeftovers() error
}

// Config is what a Manager works with.
type Config struct {
	// Dir is where sandboxes are kept, on a file system with reflinks that
	// also holds the templates.
	Dir     string
	Driver  vmm.Driver
	Network slots
	// SnapshotDir is where snapshots of sandboxes are kept, on the same file system.
	SnapshotDir string
	// WarmBytes is the host's memory that guests may take which are held ready
	// for sandboxes to come; zero means that there are none.
	WarmBytes int64
	// Cgroups is where VMs get their control groups; DiskLimits are theirs.
	Cgroups    *cgroup.Root
	DiskLimits cgroup.IOLimits
	Admission  Admission
	// Volumes is where the host keeps its volumes.
	Volumes volumes
	// Drain waits until the guest agent's clients have all that it told them and
	// their connections have ended, or ctx ends. It is called when the agent has
	// sent them away for a pause.
	Drain func(ctx context.Context, sandboxID string)
	// Disconnect ends every connection that is open to a sandbox's guest. It is
	// called when the guest stops: a machine that is gone sends no farewell.
	Disconnect func(sandboxID string)
	Log        *slog.Logger
}

// Manager holds the sandboxes of one host.
type Manager struct {
	dir         string
	snapshotDir string
	driver      vmm.Driver
	network     slots
	drain       func(ctx context.Context, sandboxID string)
	disconnect  func(sandboxID string)
	warm        *warmPool
	cgroups     *cgroup.Root
	diskLimits  cgroup.IOLimits
	admission   Admission
	volumes     volumes
	starts      reservations
	creates     creates
	requests    requests
	sampler     *sampler
	tender      *tender
	signer      workload.Signer
	log         *slog.Logger

	mutex     sync.Mutex
	cold      vmm.Boot // of sandboxes of which only the disk was kept, but for its memory
	templates map[string]*snapshot.Snapshot
	sandboxes map[string]*sandbox
	snapshots map[string]*snapshot.Snapshot // of sandboxes, by build ID
	watchers  map[*watcher]struct{}

	closed  atomic.Bool // no client's operation begins any more
	closing atomic.Bool // what runs is being put away

	tasks sync.WaitGroup // one for each VM: who notices that it died
	left  chan struct{}  // closed by Leave
}

// NewManager finds what an earlier one left in config.Dir: what runs is
// adopted, what is paused is kept, whatever else there was is cleared away.
func NewManager(ctx context.Context, config Config) (*Manager, error) {
	m := &Manager{
		dir: config.Dir, snapshotDir: config.SnapshotDir, driver: config.Driver, network: config.Network,
		drain: config.Drain, disconnect: config.Disconnect, log: config.Log,
		templates: make(map[string]*snapshot.Snapshot), sandboxes: make(map[string]*sandbox), snapshots: make(map[string]*snapshot.Snapshot), watchers: make(map[*watcher]struct{}),
		cgroups: config.Cgroups, diskLimits: config.DiskLimits, admission: config.Admission, volumes: config.Volumes, starts: reservations{reserved: make(map[*size]struct{})},
		left: make(chan struct{}),
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make sandbox directory: %w", err)
	}
	if err := m.recover(ctx); err != nil {
		return nil, err
	}
	m.warm = newWarmPool(m, config.WarmBytes)
	m.sampler = newSampler(m)
	m.tender = newTender(m)
	return m, nil
}

// Offer has sandboxes started from a template, and those of which only the disk
// was kept booted as it was; of cold, the memory is the manager's own matter.
// Until then what was found runs, and nothing new does.
func (m *Manager) Offer(template *snapshot.Snapshot, cold vmm.Boot) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.templates[template.BuildID], m.cold = template, cold
}

// Templates lists the template builds that can be started, by build ID.
func (m *Manager) Templates() []*snapshot.Snapshot {
	m.mutex.Lock()
	all := slices.Collect(maps.Values(m.templates))
	m.mutex.Unlock()
	slices.SortFunc(all, func(a, b *snapshot.Snapshot) int { return strings.Compare(a.BuildID, b.BuildID) })
	return all
}

// isTemplate says whether a snapshot is a template's, and not one of a sandbox
// that descends from its build.
func (m *Manager) isTemplate(base *snapshot.Snapshot) bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.templates[base.BuildID] == base
}

// ReadyCount is how many guests are held ready for sandboxes to come.
func (m *Manager) ReadyCount() int { return m.warm.count() }

// Get describes one sandbox.
func (m *Manager) Get(id string) (Info, error) {
	s, err := m.find(id)
	if err != nil {
		return Info{}, err
	}
	return s.info(), nil
}

// List describes every sandbox, by ID.
func (m *Manager) List() []Info {
	all := m.all()
	infos := make([]Info, 0, len(all))
	for _, s := range all {
		infos = append(infos, s.info())
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.ID, b.ID) })
	return infos
}

func (m *Manager) all() []*sandbox {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Collect(maps.Values(m.sandboxes))
}

// Way is how a running sandbox's guest is reached, and what its agent knows the
// host by.
type Way struct {
	Address netip.Addr
	Secret  string
}

// Reach finds the way to a running sandbox's guest.
func (m *Manager) Reach(id string) (Way, error) {
	s, err := m.find(id)
	if err != nil {
		return Way{}, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.way.Address.IsValid() {
		return Way{}, &ConflictError{ID: id, State: s.record.State, Wanted: "be reached"}
	}
	return s.way, nil
}

// Close pauses every sandbox that runs, ends those that cannot be paused, and
// waits until no VM is left.
func (m *Manager) Close() error {
	m.closed.Store(true)
	m.closing.Store(true)
	m.sampler.close()
	m.tender.close()
	warmErr := m.warm.close()
	var pauses errgroup.Group
	pauses.SetLimit(closeParallelism)
	for _, info := range m.List() {
		pauses.Go(func() error { return m.putAway(info.ID) })
	}
	err := pauses.Wait()
	m.tasks.Wait()
	return errors.Join(warmErr, err)
}

// closeParallelism bounds how many sandboxes are written to disk at once.
const closeParallelism = 4

// closePatience is how long what is under way may take to come to its end by
// itself when everything is put away.
const closePatience = 30 * time.Second

// putAway leaves no VM of a sandbox. One that cannot be paused, by its guest's
// doing perhaps, is switched off: its disk is kept, and nothing that was
// acknowledged is lost.
func (m *Manager) putAway(id string) error {
	s, err := m.find(id)
	if err != nil {
		return nil // gone meanwhile
	}
	patience, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	if s.awaitSettled(patience) != nil {
		if err := s.interrupt(context.Background()); err != nil {
			return err
		}
	}
	if state := s.info().State; state != Running {
		return nil
	}
	ctx, cancelPause := context.WithTimeout(context.Background(), pauseTimeout)
	defer cancelPause()
	ctx, op, err := s.begin(ctx, Pausing, "pause")
	if err == nil {
		_, err = m.finishPause(ctx, op, PauseRequest{RequireHealthyGuest: true})
	}
	if err == nil || s.info().State != Running {
		return nil // or its VM ended, and it is put away
	}
	s.logger(m.log).Warn("a sandbox cannot be paused and is switched off; its disk is kept", "error", err)
	return m.powerOff(s, fmt.Sprintf("it could not be paused when the host agent stopped (%v); its disk was kept", err))
}

// findOpen is find for what changes a sandbox: nothing does once the manager ends.
func (m *Manager) findOpen(id string) (*sandbox, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	return m.find(id)
}

func (m *Manager) find(id string) (*sandbox, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	s, ok := m.sandboxes[id]
	if !ok {
		return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	return s, nil
}

// add takes an ID for a new sandbox.
func (m *Manager) add(s *sandbox) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.closed.Load() {
		return ErrClosed
	}
	if _, taken := m.sandboxes[s.id]; taken {
		return fmt.Errorf("%s: %w", s.id, ErrExists)
	}
	m.sandboxes[s.id] = s
	return nil
}

// forget deletes what is left of a sandbox and tells watchers that it is gone.
func (m *Manager) forget(s *sandbox) error {
	err := os.RemoveAll(s.dir)
	m.mutex.Lock()
	delete(m.sandboxes, s.id)
	m.mutex.Unlock()
	if err != nil {
		return fmt.Errorf("delete sandbox %s: %w", s.id, err)
	}
	return nil
}

func (m *Manager) sandboxDir(id string) string { return filepath.Join(m.dir, id) }
