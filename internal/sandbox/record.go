package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// record is what is kept of a sandbox on disk, so that the next agent knows
// what it finds. It is written before what it says is done.
type record struct {
	BuildID     string    `json:"buildId"`
	State       State     `json:"state"`
	VCPUCount   int       `json:"vcpuCount"`
	MemoryMiB   int       `json:"memoryMiB"`
	DiskMiB     int       `json:"diskMiB"`
	EnvdVersion string    `json:"envdVersion"`
	StartedAt   time.Time `json:"startedAt"`
	// Network is what the guest may reach. It can hold secrets that clients wrote
	// into it, but none that it refers to.
	Network egress.Spec `json:"network,omitzero"`
	// Workload is who the sandbox is in identity tokens. It never changes.
	Workload workload.Identity `json:"workload,omitzero"`
	// Environment is what its create gave for every command, and secret; nil in the
	// record of an earlier version.
	Environment map[string]string `json:"environment,omitzero"`
	// Volumes are those that the guest mounts.
	Volumes []VolumeMount `json:"volumes,omitempty"`
	// Authority signs for the domains whose requests Network's rules change.
	Authority []byte `json:"authority,omitempty"`
	// Snapshot is the name of the sandbox's own snapshot directory; empty
	// before the first pause.
	Snapshot string `json:"snapshot,omitempty"`
	// GuestUnresponsive: the memory in Snapshot has an agent that did not answer.
	GuestUnresponsive bool `json:"guestUnresponsive,omitempty"`
	// RequestID is the creation's: the same request again finds its sandbox.
	RequestID string `json:"requestId,omitempty"`
	// Reason says why a sandbox is paused that nobody paused, or failed.
	Reason string `json:"reason,omitempty"`
	// Usage is what the sandbox took, but for the VM that runs.
	Usage Usage `json:"usage,omitzero"`
	running
}

// running is how a guest is found and spoken to again while its VM runs. The
// guest's memory, beside this file, holds the secret too.
type running struct {
	Process     vmm.Process `json:"process,omitzero"`
	Slot        string      `json:"slot,omitempty"`
	Secret      string      `json:"token,omitempty"` // the name of earlier versions
	LifecycleID string      `json:"lifecycleId,omitempty"`
	Cgroup      string      `json:"cgroup,omitempty"`
	Meter       meterStart  `json:"meter,omitzero"`
}

const recordFile = "sandbox.json"

// save writes the record so that a crash, of this process or of the machine,
// leaves the old one or the new one, and the new one once save has returned.
func (r record) save(directory string) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode sandbox record: %w", err)
	}
	return disk.WriteFile(filepath.Join(directory, recordFile), content, 0o600)
}

func loadRecord(directory string) (record, error) {
	content, err := os.ReadFile(filepath.Join(directory, recordFile))
	if err != nil {
		return record{}, fmt.Errorf("read sandbox record: %w", err)
	}
	var r record
	if err := json.Unmarshal(content, &r); err != nil {
		return record{}, fmt.Errorf("read sandbox record in %s: %w", directory, err)
	}
	return r, nil
}

// journal writes down the state an operation has entered, before it does
// anything that a crash would leave half-done.
func (s *sandbox) journal() error {
	s.mutex.Lock()
	entered := s.record
	s.mutex.Unlock()
	return entered.save(s.dir)
}

// note writes down a state before the sandbox is in it: with a VM that runs, how
// the next agent finds it. A guest that is not awake again is in its pause still,
// for an agent that knows no more of it.
func (s *sandbox) note(next State, reason string) error {
	s.mutex.Lock()
	s.record.running = running{}
	if next == Running {
		s.record.running = s.guest.running(s.meter)
	}
	noted := s.record
	s.mutex.Unlock()
	noted.State, noted.Reason = next, reason
	if next == Running && s.guest.wake != nil {
		noted.State = Pausing
	}
	return noted.save(s.dir)
}

// running is called when the guest runs and is counted for.
func (g *guest) running(counted *meter) running {
	return running{
		Process: g.machine.Process(), Slot: g.slot.Name(), Secret: g.secret, LifecycleID: g.lifecycleID,
		Cgroup: g.group.Name(), Meter: counted.start,
	}
}
