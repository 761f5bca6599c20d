package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Info is what the outside may know of a sandbox.
type Info struct {
	ID          string
	BuildID     string
	State       State
	VCPUCount   int
	MemoryMiB   int
	DiskMiB     int
	EnvdVersion string
	StartedAt   time.Time
	// Reason says why a sandbox failed or is gone.
	Reason string
	// Usage is as of the last sample or change of state.
	Usage Usage
	// SecretsRevision is that of the secrets it holds; empty for none.
	SecretsRevision string
}

// Identity is what makes a restored guest itself and nobody else.
type Identity struct {
	AccessToken string
	EnvVars     map[string]string
	LifecycleID string
}

// sandbox is one machine of this host. Its state is changed only through step,
// and whoever moved it into an unsettled state owns guest and base until the
// next step.
type sandbox struct {
	id  string
	dir string

	mutex     sync.Mutex
	record    record
	cancel    context.CancelFunc // of the operation under way
	settled   chan struct{}      // closed when that operation has ended
	guestAddr netip.Addr         // valid while a guest answers
	meter     *meter             // nil unless a VM runs

	history history
	secrets egress.Secrets

	// Owned by the operation under way; untouched while the state is settled.
	guest *guest             // nil unless a VM runs
	base  *snapshot.Snapshot // what the VM was started from, or will be
}

// idPattern is what a sandbox ID may look like: it becomes a directory, a host
// name and a process name.
var idPattern = regexp.MustCompile(`^[a-z0-9]{8,40}$`)

func (s *sandbox) info() Info {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	usage := s.record.Usage
	if s.meter != nil {
		usage = s.meter.usage()
	}
	return Info{
		ID: s.id, BuildID: s.record.BuildID, State: s.record.State,
		VCPUCount: s.record.VCPUCount, MemoryMiB: s.record.MemoryMiB, DiskMiB: s.record.DiskMiB,
		EnvdVersion: s.record.EnvdVersion, StartedAt: s.record.StartedAt, Reason: s.record.Reason, Usage: usage,
		SecretsRevision: s.secrets.Get().Revision,
	}
}

// operation is the right to change a sandbox, held by one goroutine.
type operation struct {
	sandbox *sandbox
	cancel  context.CancelFunc
}

// begin moves a settled sandbox into the first state of an operation. The
// returned context ends early if the sandbox is killed meanwhile.
func (s *sandbox) begin(ctx context.Context, first State, wanted string) (context.Context, *operation, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.record.State.settled() || !s.record.State.canBecome(first) {
		return nil, nil, &ConflictError{ID: s.id, State: s.record.State, Wanted: wanted}
	}
	ctx, op := s.enter(ctx, first)
	return ctx, op, nil
}

// beginAfterDeath starts to put away a sandbox whose VM ended on its own. It
// answers nil where somebody else stopped that VM, or is about to find out.
func (s *sandbox) beginAfterDeath(machine vmm.Machine) (context.Context, *operation) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.record.State != Running || s.guest == nil || s.guest.machine != machine {
		return nil, nil
	}
	return s.enter(context.Background(), Pausing)
}

// enter is called with the mutex held.
func (s *sandbox) enter(ctx context.Context, first State) (context.Context, *operation) {
	ctx, cancel := context.WithCancel(ctx)
	s.record.State, s.cancel, s.settled = first, cancel, make(chan struct{})
	if first != Snapshotting && first != Updating { // then whoever calls the guest waits a moment
		s.guestAddr = netip.Addr{}
	}
	return ctx, &operation{sandbox: s, cancel: cancel}
}

// step moves a sandbox that is in the middle of an operation one state on. A
// settled state ends the operation.
func (o *operation) step(next State, reason string) {
	s := o.sandbox
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.record.State.canBecome(next) {
		// The table and the code disagree: a fault of ours, never of a caller's.
		panic(fmt.Sprintf("sandbox %s: no transition from %s to %s", s.id, s.record.State, next))
	}
	s.record.State, s.record.Reason = next, reason
	s.guestAddr = netip.Addr{}
	if next == Running {
		s.guestAddr = s.guest.slot.Address()
	}
	if next.settled() {
		o.cancel()
		close(s.settled)
	}
}

// interrupt cancels the operation under way and waits for its end.
func (s *sandbox) interrupt(ctx context.Context) error {
	s.mutex.Lock()
	state, cancel, settled := s.record.State, s.cancel, s.settled
	s.mutex.Unlock()
	if state.settled() {
		return nil
	}
	cancel()
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for sandbox %s to stop %s: %w", s.id, state, ctx.Err())
	}
}

// What a running VM has in its sandbox's directory.
const (
	runDirectory = "run"
	liveDisk     = "disk"
	liveMemory   = "memory"
)

func (s *sandbox) runDir() string   { return filepath.Join(s.dir, runDirectory) }
func (s *sandbox) diskPath() string { return filepath.Join(s.dir, liveDisk) }

// memoryPath is another name of the memory the VM was started from: the file
// is there as long as the VM may have to be compared with it, whatever becomes
// of the snapshot, and clones still share it in the page cache.
func (s *sandbox) memoryPath() string { return filepath.Join(s.dir, liveMemory) }

func (s *sandbox) logger(log *slog.Logger) *slog.Logger { return log.With("sandbox", s.id) }
