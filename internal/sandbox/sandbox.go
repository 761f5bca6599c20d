package sandbox

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/admission"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/upkeep"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Info is what the control plane is told of a sandbox.
type Info struct {
	ID          string
	BuildID     string
	State       state.State
	VCPUCount   int
	MemoryMiB   int
	DiskMiB     int
	EnvdVersion string
	StartedAt   time.Time
	// Reason says why a sandbox failed or is gone.
	Reason string
	// GuestUnresponsive is a paused sandbox that can only be resumed without memory.
	GuestUnresponsive bool
	// Usage is as of the last sample or change of state.
	Usage meter.Usage
	// SecretsRevision is that of the secrets it holds; empty for none.
	SecretsRevision string
}

// size is what a running sandbox is promised; the disk it has whether it runs or not.
func (i Info) size() admission.Size {
	return admission.Size{VCPUCount: i.VCPUCount, MemoryMiB: i.MemoryMiB}
}

// Identity is what makes a restored guest differ from every other guest of its snapshot.
type Identity struct {
	EnvVars     map[string]string
	LifecycleID string
}

// sandbox is one machine of this host.
//
// Its state is changed only by an operation. From the step that leaves a settled state to
// the one that reaches the next, the operation's holder owns the sandbox: it alone writes
// the record and touches the guest. The mutex is never held across I/O.
type sandbox struct {
	id        string
	directory record.Directory
	host      *host
	history   meter.History
	secrets   egress.Secrets

	mutex   sync.Mutex
	record  record.Record
	cancel  context.CancelFunc // of the operation under way
	settled chan struct{}      // closed when that operation has ended
	doomed  bool               // a kill has been asked for: nothing else begins
	access  guest.Access       // valid while the guest answers
	meter   *meter.Meter       // nil unless a VM runs

	// Owned by the operation under way; unchanged while the state is settled.
	guest   *guest.Guest       // nil unless a VM runs
	base    *snapshot.Snapshot // what the VM was started from, or will be
	watched *guest.Guest       // whose end a goroutine waits for

	// unkept says why the VM ended whose disk is not kept yet; empty for none. keeping
	// spaces out the attempts to keep it.
	unkept  string
	keeping upkeep.Backoff
}

func (s *sandbox) info() Info {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	usage := s.record.Usage
	if s.meter != nil {
		usage = s.meter.Usage()
	}
	return Info{
		ID: s.id, BuildID: s.record.BuildID, State: s.record.State,
		VCPUCount: s.record.VCPUCount, MemoryMiB: s.record.MemoryMiB, DiskMiB: s.record.DiskMiB,
		EnvdVersion: s.record.EnvdVersion, StartedAt: s.record.StartedAt, Reason: s.record.Reason, Usage: usage,
		SecretsRevision: s.secrets.Get().Revision, GuestUnresponsive: s.record.State == state.Paused && s.record.GuestUnresponsive,
	}
}

// createdBy is the ID of the request that created the sandbox.
func (s *sandbox) createdBy() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.record.RequestID
}

// announce tells every watcher how the sandbox is now.
func (s *sandbox) announce() { s.host.feed.Announce(s.id, s.info) }

func (s *sandbox) log() *slog.Logger { return s.host.log.With("sandbox", s.id) }

// Meter measures the VM that runs; nil for none.
func (s *sandbox) Meter() *meter.Meter {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.meter
}

// History is the sandbox's last samples.
func (s *sandbox) History() *meter.History { return &s.history }

// AskGuest asks a running guest for its report.
func (s *sandbox) AskGuest(ctx context.Context, try func(ask func()) bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.record.State != state.Running || s.guest == nil {
		return
	}
	memoryMiB, diskMiB := s.record.MemoryMiB, s.record.DiskMiB
	s.guest.Ask(ctx, try, func(report meter.GuestSample) {
		s.history.SetGuest(report.Bounded(memoryMiB, diskMiB))
	})
}
