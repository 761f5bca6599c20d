package snapshot

import (
	"cmp"
	"fmt"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// Start is what runs in the guests of a build. The zero value is nothing.
type Start struct {
	// Command is a line for the shell; with Exec it is empty.
	Command string   `json:"command,omitempty"`
	Exec    []string `json:"exec,omitempty"`
	// Ready is tried until it succeeds, before the snapshot is taken; empty for nothing.
	Ready string `json:"ready,omitempty"`
}

// Runs reports whether there is a start command. nil is of a snapshot that is no build.
func (s *Start) Runs() bool { return s != nil && (s.Command != "" || len(s.Exec) > 0) }

// stored is the file of a disk that a machine of another size gets. The zero value is the
// snapshot's disk in its size.
type stored struct {
	name    string
	diskMiB int
}

// CanResize reports whether machines of other sizes can be made of the snapshot: what runs
// in it is known, or nothing does. It is false for snapshots of sandboxes with their
// memory, and for builds of earlier versions.
func (s *Snapshot) CanResize() bool { return s.DiskOnly || s.Start != nil || s.Name != "" }

// Resized is the same snapshot without memory and with another size: what boots from it is
// as a build is before its start command. Its disk must not be smaller than the snapshot's.
func (s *Snapshot) Resized(vcpuCount, memoryMiB, diskMiB int) *Snapshot {
	resized := s.WithoutMemory()
	resized.VCPUCount, resized.MemoryMiB, resized.DiskMiB = vcpuCount, memoryMiB, diskMiB
	resized.stored.diskMiB = cmp.Or(s.stored.diskMiB, s.DiskMiB)
	if s.Start.Runs() && !s.DiskOnly {
		resized.stored.name = beforeStartFile
	}
	return resized
}

// HasChanges reports whether what the machine changed belongs to the disk: not to the one from
// before the start command of a build.
func (s *Snapshot) HasChanges() bool { return s.stored.name != beforeStartFile }

// CloneDisk makes a machine's disk of the saved one. A file system that is smaller than the
// disk is enlarged when it is booted.
func (s *Snapshot) CloneDisk(path string) error {
	if err := disk.Clone(s.DiskPath(), path); err != nil {
		return err
	}
	if s.stored.diskMiB == 0 || s.stored.diskMiB == s.DiskMiB {
		return nil
	}
	if err := os.Truncate(path, int64(s.DiskMiB)<<20); err != nil {
		return fmt.Errorf("enlarge a disk: %w", err)
	}
	return nil
}
