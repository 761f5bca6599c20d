package sandbox

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
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
	// GuestUnresponsive is a paused sandbox that can only be resumed without memory.
	GuestUnresponsive bool
	// Usage is as of the last sample or change of state.
	Usage Usage
	// SecretsRevision is that of the secrets it holds; empty for none.
	SecretsRevision string
}

// Identity is what makes a restored guest itself and nobody else.
type Identity struct {
	EnvVars     map[string]string
	LifecycleID string
}

// sandbox is one machine of this host. Its state is changed only through step,
// and whoever moved it into an unsettled state owns its record and guest until
// the state is settled again.
type sandbox struct {
	id  string
	dir string

	mutex   sync.Mutex
	record  record
	cancel  context.CancelFunc // of the operation under way
	settled chan struct{}      // closed when that operation has ended
	doomed  bool               // a kill has been asked for: nothing else begins
	way     Way                // valid while a guest answers
	meter   *meter             // nil unless a VM runs

	history history
	secrets egress.Secrets
	signer  *workload.Signer // its manager's

	// Owned by the operation under way; untouched while the state is settled.
	guest    *guest             // nil unless a VM runs
	base     *snapshot.Snapshot // what the VM was started from, or will be
	watched  vmm.Machine        // whose end somebody waits for
	salvage  string             // why its VM ended whose disk is yet to be put away
	salvages attempts
}

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
		SecretsRevision: s.secrets.Get().Revision, GuestUnresponsive: s.record.State == Paused && s.record.GuestUnresponsive,
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
