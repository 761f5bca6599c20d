// Package build builds templates: each step of a build runs in a VM, and what it changed is
// kept as a layer; the last layer is booted, and its snapshot is the template's.
//
// A build has one goroutine, which owns its VM. It belongs to the host agent and not to the
// call that started it. An agent that starts again ends what an earlier one left, and keeps
// the layers.
package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/build/archives"
	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/guestdisk"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Errors of calls.
var (
	ErrNotFound = errors.New("build not found")
	ErrBusy     = errors.New("this host runs as many builds as it may")
	ErrClosed   = errors.New("the host agent is shutting down")
)

// Builds are the finished builds and snapshots of the host.
type Builds interface {
	// Find finds one by its ID.
	Find(buildID string) (*snapshot.Snapshot, error)
	// FindFinished finds a build with that FinishKey.
	FindFinished(key string) (*snapshot.Snapshot, bool)
	// Path is where the snapshot of a build is to be made.
	Path(buildID string) string
	// Add makes a snapshot known.
	Add(made *snapshot.Snapshot)
}

// Config is what a Builder works with.
type Config struct {
	// Dir is where the files of build VMs are, on the file system of the layers.
	Dir      string
	Layers   *layer.Store
	Archives *archives.Store
	Builds   Builds
	// Images pulls images and makes disks of them.
	Images Images
	Guests *machine.Host
	Driver vmm.Driver
	// SharedDir is for files that disks share, and WriteDirectory writes the image of Wrenn's
	// directory: see guestdisk.Open.
	SharedDir      string
	WriteDirectory func(ctx context.Context, path string) error
	// VMM and BootHash name what boots and restores guests: a finished build is used again
	// only with the same.
	VMM      string
	BootHash string
	// EnvdVersion is that of the guest agent in the guests that are booted.
	EnvdVersion string
	// Admit reserves room for a VM until release is called, or returns an
	// admission.ErrNoRoom.
	Admit func(admission.Size) (release func(), err error)
	// MaxBuilds run at a time.
	MaxBuilds int
	// ReserveBytes of the disk are to stay free: with less than half of them left, builds
	// are ended.
	ReserveBytes uint64
	Log          *slog.Logger
}

// Builder runs the builds of one host.
type Builder struct {
	config Config
	disks  guestdisk.Disks
	tasks  sync.WaitGroup

	mutex    sync.Mutex
	closed   bool
	attempts map[string]*attempt // by build ID
}

// Result is how a build ended: with a snapshot or a failure.
type Result struct {
	Ready       *snapshot.Snapshot
	Failure     *Failure
	ImageDigest string
}

// Watcher receives a build's log and result.
type Watcher = buildlog.Watcher[Result]

// Open makes a Builder, ends the VMs that an earlier one left and removes their files.
func Open(ctx context.Context, config Config) (*Builder, error) {
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of builds: %w", err)
	}
	if err := machine.EndLeftovers(ctx, config.Driver, config.Dir); err != nil {
		return nil, err
	}
	disks, err := guestdisk.Open(ctx, config.Driver, config.SharedDir, config.BootHash, config.WriteDirectory)
	if err != nil {
		return nil, err
	}
	return &Builder{config: config, disks: disks, attempts: make(map[string]*attempt)}, nil
}

const (
	// buildTimeout bounds a whole build.
	buildTimeout = time.Hour
	// keepLogs is how long the log of a build that has ended is kept, and maxLogs how many
	// are.
	keepLogs = time.Hour
	maxLogs  = 32
)

// Start starts a build. It does nothing if the build runs, or if the host has it.
func (b *Builder) Start(request plan.Request) error {
	if parsed, err := uuid.Parse(request.BuildID); err != nil || parsed.String() != request.BuildID {
		return fmt.Errorf("%w: build ID %q is not a UUID", plan.ErrInvalid, request.BuildID)
	}
	if !layer.IsTeam(request.TeamID) {
		return fmt.Errorf("%w: team ID %q", plan.ErrInvalid, request.TeamID)
	}
	if err := request.Check(); err != nil {
		return err
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.closed {
		return ErrClosed
	}
	b.forgetOld()
	if made, err := b.config.Builds.Find(request.BuildID); err == nil {
		if b.attempts[request.BuildID] == nil {
			b.attempts[request.BuildID] = finishedBefore(made)
		}
		return nil
	}
	if known := b.attempts[request.BuildID]; known != nil && known.isRunning() {
		return nil
	}
	if b.running() >= b.config.MaxBuilds {
		return fmt.Errorf("%w: %d", ErrBusy, b.config.MaxBuilds)
	}
	release, err := b.config.Admit(admission.Size{VCPUCount: request.VCPUCount, MemoryMiB: request.MemoryMiB, DiskMiB: request.DiskMiB})
	if err != nil {
		return err
	}
	a := newAttempt(b.config, b.disks, request)
	b.attempts[request.BuildID] = a
	limited, stop := context.WithTimeout(context.Background(), buildTimeout)
	ctx, cancel := context.WithCancelCause(limited)
	a.cancel = cancel
	b.tasks.Go(func() {
		defer stop()
		defer close(a.done)
		defer release()
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			watchRoom(ctx, b.config.Dir, b.config.ReserveBytes, cancel)
		}()
		defer func() { cancel(nil); <-watched }()
		a.run(ctx)
	})
	return nil
}

// errHostFull ends builds of a host whose disk is nearly full, which a build may have
// filled: its VMs and its layers grow.
var errHostFull = errors.New("the host's disk is nearly full")

const roomEvery = time.Second

// watchRoom ends what is made when less than half of a reserve of the host's disk is free.
func watchRoom(ctx context.Context, directory string, reserveBytes uint64, end context.CancelCauseFunc) {
	again := time.NewTicker(roomEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		_, free, err := disk.Usage(directory)
		if err == nil && free < reserveBytes/2 {
			end(errHostFull)
			return
		}
	}
}

// running counts the builds that run. The mutex is held.
func (b *Builder) running() int {
	count := 0
	for _, a := range b.attempts {
		if a.isRunning() {
			count++
		}
	}
	return count
}

// forgetOld removes the logs of builds that ended long ago, and of the oldest if there are
// many. The mutex is held.
func (b *Builder) forgetOld() {
	var ended []string
	for id, a := range b.attempts {
		if !a.isRunning() {
			ended = append(ended, id)
		}
	}
	slices.SortFunc(ended, func(x, y string) int { return b.attempts[y].ended().Compare(b.attempts[x].ended()) })
	for i, id := range ended {
		if i >= maxLogs || time.Since(b.attempts[id].ended()) > keepLogs {
			delete(b.attempts, id)
		}
	}
}

func (b *Builder) find(buildID string) (*attempt, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	a := b.attempts[buildID]
	if a == nil {
		return nil, fmt.Errorf("%s: %w", buildID, ErrNotFound)
	}
	return a, nil
}

// Watch sends a build's log from an entry on, and at last its result.
func (b *Builder) Watch(ctx context.Context, buildID string, after uint64, to Watcher) error {
	a, err := b.find(buildID)
	if err != nil {
		return err
	}
	return a.log.Watch(ctx, after, to)
}

// Cancel ends a build and waits until its VM has ended. A build that has ended, or is not
// known, stays as it is.
func (b *Builder) Cancel(ctx context.Context, buildID string) error {
	a, err := b.find(buildID)
	if err != nil {
		return nil //nolint:nilerr // nothing is left of it
	}
	a.cancelled.Store(true)
	a.cancel(nil)
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends all builds and waits until nothing of them is left but their layers. They get no
// result: another agent is to begin them again, as after a crash.
func (b *Builder) Close() error {
	b.mutex.Lock()
	b.closed = true
	for _, a := range b.attempts {
		a.cancel(ErrClosed)
	}
	b.mutex.Unlock()
	b.tasks.Wait()
	return nil
}
