// Package size keeps snapshots of builds with other sizes than their own, so that a sandbox
// of such a size is restored like any other. The first create of a size on a host has its
// snapshot made, once for all creates that wait for it.
//
// A size is no more than a cache: it is removed when it was not used for long, when the disk
// is short, and when its build is gone, but never while a VM runs of it.
package size

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Wanted is a snapshot to be made.
type Wanted struct {
	Base *snapshot.Snapshot
	Size admission.Size
	// Directory is where the snapshot is to be. It does not exist.
	Directory string
	// Told is called with what is being done, for people.
	Told func(text string)
}

// Maker makes snapshots of builds with other sizes. When it fails nothing is left.
type Maker interface {
	Make(ctx context.Context, wanted Wanted) (*snapshot.Snapshot, error)
}

// Builds are the builds of the host.
type Builds interface {
	All() []*snapshot.Snapshot
	Find(buildID string) (*snapshot.Snapshot, error)
}

// Config is what a Store works with.
type Config struct {
	// Directory is on the file system of the builds and sandboxes.
	Directory string
	Builds    Builds
	Maker     Maker
	// VMM is what makes and restores snapshots here. Those of others are removed.
	VMM vmm.Maker
	// MostVCPUs is how many a guest of that VMM can have; zero for no bound.
	MostVCPUs int
	// AtOnce is how many sizes are made at a time.
	AtOnce int
	// MaxBytes bounds all sizes. With less than twice ReserveBytes free on the disk, unused
	// ones are removed until there is more.
	MaxBytes     int64
	ReserveBytes uint64
	// Unused is how long a size is kept that nobody uses.
	Unused time.Duration
	Log    *slog.Logger
}

// Store holds the sizes of one host.
type Store struct {
	config Config
	cancel context.CancelFunc // ends the upkeep
	tasks  sync.WaitGroup
	turns  chan struct{} // one for each that is being made
	wake   chan struct{}

	mutex  sync.Mutex
	closed bool
	sizes  map[string]*sized  // by name
	making map[string]*making // by name
}

// sized is one snapshot. Its fields are guarded by the store's mutex.
type sized struct {
	snapshot *snapshot.Snapshot
	bytes    int64 // what it does not share with the build
	used     time.Time
	users    int // creates under way
}

// ErrClosed is returned when the host agent shuts down.
var ErrClosed = errors.New("the host agent is shutting down")

// Open opens a store, removes what a crash left unfinished and what can no longer be used,
// and begins its upkeep, which Close ends.
func Open(config Config) (*Store, error) {
	if err := os.MkdirAll(config.Directory, 0o700); err != nil {
		return nil, fmt.Errorf("open sizes: %w", err)
	}
	s := &Store{
		config: config, turns: make(chan struct{}, max(config.AtOnce, 1)), wake: make(chan struct{}, 1),
		sizes: make(map[string]*sized), making: make(map[string]*making),
	}
	entries, err := os.ReadDir(config.Directory)
	if err != nil {
		return nil, fmt.Errorf("open sizes: %w", err)
	}
	bases := s.bases()
	for _, entry := range entries {
		if err := s.open(entry.Name(), bases); err != nil {
			return nil, fmt.Errorf("open the size %s: %w", entry.Name(), err)
		}
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.tasks.Go(func() { s.keepUp(ctx) })
	return s, nil
}

// open opens one size, or removes it.
func (s *Store) open(directory string, bases map[string]*snapshot.Snapshot) error {
	path, name := filepath.Join(s.config.Directory, directory), nameIn(directory)
	base := bases[baseOf(name)]
	opened, err := snapshot.Open(path)
	if err != nil || base == nil || snapshot.IsUnfinished(directory) || s.sizes[name] != nil || opened.MadeBy != s.config.VMM {
		return os.RemoveAll(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	s.sizes[name] = &sized{snapshot: opened, used: info.ModTime(), bytes: s.measure(opened, base)}
	return nil
}

// Close ends what is being made and waits for it.
func (s *Store) Close() error {
	s.mutex.Lock()
	s.closed = true
	for _, begun := range s.making {
		begun.cancel()
	}
	s.mutex.Unlock()
	s.cancel()
	s.tasks.Wait()
	return nil
}

// use returns a build's snapshot with another size, and makes it first if need be.
func (s *Store) use(ctx context.Context, base *snapshot.Snapshot, size admission.Size, told func(string)) (_ *snapshot.Snapshot, release func(), err error) {
	name := nameOf(base, size)
	const attempts = 3 // one that was just made may be removed for want of room before it is held
	for range attempts {
		if held, release := s.hold(name, base); held != nil {
			return held, release, nil
		}
		making, err := s.make(name, base, size)
		if err != nil {
			return nil, nil, err
		}
		if making == nil {
			continue // it is there by now
		}
		if err := making.await(ctx, told); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("%w: the size was removed again for want of room", admission.ErrNoRoom)
}

// hold returns a size under the ID of the build that it is wanted for.
func (s *Store) hold(name string, base *snapshot.Snapshot) (_ *snapshot.Snapshot, release func()) {
	s.mutex.Lock()
	found := s.sizes[name]
	if found == nil {
		s.mutex.Unlock()
		return nil, nil
	}
	now := time.Now()
	found.users++
	found.used = now
	made := *found.snapshot
	s.mutex.Unlock()
	made.BuildID = base.BuildID
	// The order survives a restart; without it the size looks older than it is.
	_ = os.Chtimes(made.Dir, now, now)
	return &made, sync.OnceFunc(func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		found.users--
	})
}
