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
	// Volumes are those that the guest mounts.
	Volumes []VolumeMount `json:"volumes,omitempty"`
	// Authority signs for the domains whose requests Network's rules change.
	Authority []byte `json:"authority,omitempty"`
	// Snapshot is the name of the sandbox's own snapshot directory; empty
	// before the first pause.
	Snapshot string `json:"snapshot,omitempty"`
	// RequestID is the creation's: the same request again finds its sandbox.
	RequestID string `json:"requestId,omitempty"`
	// Reason says why a sandbox is paused that nobody paused, or failed.
	Reason string `json:"reason,omitempty"`
	// Usage is what the sandbox took, but for the VM that runs.
	Usage Usage `json:"usage,omitzero"`
	running
}

// running is how a guest is found and spoken to again while its VM runs. The
// guest's memory, beside this file, holds the token too.
type running struct {
	Process     vmm.Process `json:"process,omitzero"`
	Slot        string      `json:"slot,omitempty"`
	Token       string      `json:"token,omitempty"`
	LifecycleID string      `json:"lifecycleId,omitempty"`
	Cgroup      string      `json:"cgroup,omitempty"`
	Meter       meterStart  `json:"meter,omitzero"`
}

const recordFile = "sandbox.json"

// save writes the record so that a crash of this process leaves the old one or
// the new one. It does not wait for the disk: no VM outlives a crash of the
// whole machine, so nothing is lost with a record that says one ran.
func (r record) save(directory string) error { return r.write(directory, false) }

// saveDurably is save that a crash of the machine cannot undo either.
func (r record) saveDurably(directory string) error { return r.write(directory, true) }

func (r record) write(directory string, durable bool) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode sandbox record: %w", err)
	}
	path := filepath.Join(directory, recordFile)
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return fmt.Errorf("write sandbox record: %w", err)
	}
	if durable {
		if err := disk.SyncFile(temporary); err != nil {
			return err
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write sandbox record: %w", err)
	}
	if durable {
		return disk.SyncFile(directory)
	}
	return nil
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
