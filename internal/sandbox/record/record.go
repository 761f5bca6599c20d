// Package record is what a host keeps of a sandbox in the sandbox's directory.
package record

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/state"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
	"git.omukk.dev/wrenn/sandbox/pkg/workload"
)

// Record is a sandbox's file. It is saved before what it says is done, so that the next
// host agent can finish or undo what a crash interrupted.
type Record struct {
	BuildID     string      `json:"buildId"`
	State       state.State `json:"state"`
	VCPUCount   int         `json:"vcpuCount"`
	MemoryMiB   int         `json:"memoryMiB"`
	DiskMiB     int         `json:"diskMiB"`
	EnvdVersion string      `json:"envdVersion"`
	StartedAt   time.Time   `json:"startedAt"`
	// Defaults are those of the template.
	Defaults snapshot.Defaults `json:"defaults,omitzero"`
	// Network is the policy of what the guest may reach. It can hold secrets that
	// clients wrote into it, but none that it refers to by name.
	Network egress.Spec `json:"network,omitzero"`
	// Workload is the sandbox's identity in tokens. It never changes.
	Workload workload.Identity `json:"workload,omitzero"`
	// Environment is the variables that the create request gave for every command. They
	// are secret. Nil in the record of an earlier version.
	Environment map[string]string `json:"environment,omitzero"`
	// Volumes are those that the guest mounts.
	Volumes []VolumeMount `json:"volumes,omitempty"`
	// Authority is the certificate authority for the domains whose requests the rules of
	// Network change.
	Authority []byte `json:"authority,omitempty"`
	// Snapshot is the name of the sandbox's own snapshot; empty before the first pause.
	Snapshot string `json:"snapshot,omitempty"`
	// GuestUnresponsive: the guest agent in the memory of Snapshot did not answer when
	// the sandbox was paused.
	GuestUnresponsive bool `json:"guestUnresponsive,omitempty"`
	// RequestID is that of the create request: the same request again finds its sandbox.
	RequestID string `json:"requestId,omitempty"`
	// Reason says why a sandbox that no client paused is paused, or why it failed.
	Reason string `json:"reason,omitempty"`
	// Usage is what the sandbox used, without the VM that runs.
	Usage meter.Usage `json:"usage,omitzero"`
	Running
}

// Running is what the next host agent needs to adopt a VM that runs. The guest's memory,
// beside this file, holds the secret too.
type Running struct {
	Process     vmm.Process `json:"process,omitzero"`
	Slot        string      `json:"slot,omitempty"`
	Secret      string      `json:"token,omitempty"` // the field's name in earlier versions
	LifecycleID string      `json:"lifecycleId,omitempty"`
	Cgroup      string      `json:"cgroup,omitempty"`
	Meter       meter.Start `json:"meter,omitzero"`
}

// VolumeMount is a volume of this host and its absolute path in a guest.
type VolumeMount struct {
	VolumeID string `json:"volumeId"`
	Path     string `json:"path"`
	// MaxBytes becomes the volume's limit when the sandbox is created; zero leaves it.
	MaxBytes int64 `json:"-"`
}

// New is the record of a sandbox that is to be created from a snapshot.
func New(base *snapshot.Snapshot) Record {
	return Record{
		BuildID: base.BuildID, State: state.Creating,
		VCPUCount: base.VCPUCount, MemoryMiB: base.MemoryMiB, DiskMiB: base.DiskMiB,
		EnvdVersion: base.EnvdVersion, StartedAt: time.Now().UTC(), Defaults: base.Defaults,
	}
}

// Manifest is the manifest of a snapshot of this sandbox.
func (r Record) Manifest() snapshot.Manifest {
	return snapshot.Manifest{
		BuildID: r.BuildID, VCPUCount: r.VCPUCount,
		MemoryMiB: r.MemoryMiB, DiskMiB: r.DiskMiB, EnvdVersion: r.EnvdVersion, Defaults: r.Defaults,
	}
}

// Save writes the record. After a crash, of this process or of the machine, the file is
// the old one or the new one, and the new one once Save has returned.
func (r Record) Save(directory Directory) error {
	content, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode sandbox record: %w", err)
	}
	return disk.WriteFile(directory.record(), content, 0o600)
}

// Load reads the record of the sandbox in a directory.
func Load(directory Directory) (Record, error) {
	content, err := os.ReadFile(directory.record())
	if err != nil {
		return Record{}, fmt.Errorf("read sandbox record: %w", err)
	}
	var r Record
	if err := json.Unmarshal(content, &r); err != nil {
		return Record{}, fmt.Errorf("read sandbox record in %s: %w", directory, err)
	}
	return r, nil
}
