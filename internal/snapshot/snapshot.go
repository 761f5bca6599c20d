// Package snapshot is a machine at rest, in a directory: its memory, its
// devices, its disk and a manifest. Templates and paused sandboxes are both
// snapshots, and both are started the same way.
package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// formatVersion changes when old snapshots can no longer be read.
const formatVersion = 1

// Manifest says what a snapshot is of.
type Manifest struct {
	FormatVersion int `json:"formatVersion"`
	// BuildID is the template build the machine descends from.
	BuildID string `json:"buildId"`
	// Name is the alias of a template's snapshot; empty for a sandbox's.
	Name        string    `json:"name,omitempty"`
	VCPUCount   int       `json:"vcpuCount"`
	MemoryMiB   int       `json:"memoryMiB"`
	DiskMiB     int       `json:"diskMiB"`
	EnvdVersion string    `json:"envdVersion"`
	CreatedAt   time.Time `json:"createdAt"`
	// Secret is what the guest agent in the memory knows its host by, until the next
	// life gives it another; empty for a template's, which was never told one.
	Secret string `json:"secret,omitempty"`
	// RequestID is that of the request that asked for it, if it had one.
	RequestID string `json:"requestId,omitempty"`
	// DiskOnly: there is no memory, and the machine has to be booted.
	DiskOnly bool `json:"diskOnly,omitempty"`
	// GuestUnresponsive: the guest agent in the memory did not answer, and would not.
	GuestUnresponsive bool `json:"guestUnresponsive,omitempty"`
	// MadeBy is what the memory and devices restore with.
	MadeBy vmm.Maker `json:"madeBy,omitzero"`
}

// Snapshot is a complete one on disk. Its files are never written to again.
type Snapshot struct {
	Manifest
	Dir string
}

// WithoutMemory is the same snapshot as if only its disk had been kept: a machine has
// to be booted, and its agent knows nothing yet.
func (s *Snapshot) WithoutMemory() *Snapshot {
	cold := *s
	cold.DiskOnly, cold.Secret, cold.GuestUnresponsive = true, "", false
	return &cold
}

// State names the files a VMM restores from.
func (s *Snapshot) State() vmm.State {
	return vmm.State{
		MemoryPath: filepath.Join(s.Dir, memoryFile), DevicesPath: filepath.Join(s.Dir, devicesFile), MadeBy: s.MadeBy,
	}
}

// DiskPath is the disk as it was; clone it, never start from it.
func (s *Snapshot) DiskPath() string { return filepath.Join(s.Dir, diskFile) }

// Remove deletes the snapshot. Machines that were started from it run on:
// they hold its memory file open.
func (s *Snapshot) Remove() error {
	// The manifest goes first: half a snapshot must not look like one.
	if err := os.Remove(filepath.Join(s.Dir, manifestFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	return os.RemoveAll(s.Dir)
}

// Source is the machine a snapshot is taken of, paused.
type Source struct {
	// Machine is asked for memory and devices, unless only the disk is wanted.
	Machine vmm.Machine
	// MemoryPath is the memory the machine was started from.
	MemoryPath string
	// DiskPath is its live disk.
	DiskPath string
}

// Take writes a snapshot of a paused machine into directory, which must not
// exist. It is durable on return, and it is there whole or not at all.
func Take(ctx context.Context, source Source, manifest Manifest, directory string) (*Snapshot, error) {
	return take(ctx, source, manifest, directory, true)
}

// TakeTransient is Take for a snapshot that nobody needs any more when the host
// has crashed: it does not wait for the disk.
func TakeTransient(ctx context.Context, source Source, manifest Manifest, directory string) (*Snapshot, error) {
	return take(ctx, source, manifest, directory, false)
}

// unfinishedSuffix ends the names of directories that snapshots are made in.
const unfinishedSuffix = ".new"

// IsUnfinished says whether a directory of that name is what is left of a
// snapshot that was never published, however whole it looks.
func IsUnfinished(name string) bool { return strings.HasSuffix(name, unfinishedSuffix) }

func take(ctx context.Context, source Source, manifest Manifest, directory string, durable bool) (_ *Snapshot, err error) {
	temporary := directory + unfinishedSuffix
	if err := os.RemoveAll(temporary); err != nil {
		return nil, fmt.Errorf("remove unfinished snapshot: %w", err)
	}
	if err := os.MkdirAll(temporary, 0o700); err != nil {
		return nil, fmt.Errorf("make snapshot directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	manifest.FormatVersion, manifest.CreatedAt = formatVersion, time.Now().UTC()
	if !manifest.DiskOnly {
		manifest.MadeBy = source.Machine.Maker()
	}
	unfinished := &Snapshot{Manifest: manifest, Dir: temporary}
	if err := unfinished.write(ctx, source); err != nil {
		return nil, err
	}
	if durable {
		if err := unfinished.sync(); err != nil {
			return nil, err
		}
	}
	if err := os.Rename(temporary, directory); err != nil {
		return nil, fmt.Errorf("publish snapshot: %w", err)
	}
	made := &Snapshot{Manifest: manifest, Dir: directory}
	if !durable {
		return made, nil
	}
	if err := disk.SyncFile(filepath.Dir(directory)); err != nil {
		return nil, errors.Join(fmt.Errorf("publish snapshot: %w", err), made.Remove())
	}
	return made, nil
}

// write makes all files of a snapshot.
func (s *Snapshot) write(ctx context.Context, source Source) error {
	if err := disk.Clone(source.DiskPath, s.DiskPath()); err != nil {
		return err
	}
	if !s.DiskOnly {
		if err := disk.Clone(source.MemoryPath, s.State().MemoryPath); err != nil {
			return err
		}
		if err := source.Machine.Snapshot(ctx, s.State()); err != nil {
			return err
		}
	}
	return writeManifest(s.Dir, s.Manifest)
}

// Open reads the snapshot in a directory and checks that nothing is missing.
func Open(directory string) (*Snapshot, error) {
	content, err := os.ReadFile(filepath.Join(directory, manifestFile))
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	s := &Snapshot{Dir: directory}
	if err := json.Unmarshal(content, &s.Manifest); err != nil {
		return nil, fmt.Errorf("open snapshot %s: %w", directory, err)
	}
	if s.FormatVersion != formatVersion {
		return nil, fmt.Errorf("open snapshot %s: format version is %d, want %d", directory, s.FormatVersion, formatVersion)
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s, nil
}

// OpenOfSandbox opens a snapshot of a sandbox. When the secret of the guest agent in its
// memory was not kept, as in snapshots of earlier versions, only the disk is used.
func OpenOfSandbox(directory string) (*Snapshot, error) {
	opened, err := Open(directory)
	if err == nil && opened.Secret == "" {
		opened.DiskOnly = true
	}
	return opened, err
}

// BrokenError is returned for a snapshot that lacks a file, or a part of one.
type BrokenError struct {
	File  string
	cause error
}

// Error says what is missing.
func (e *BrokenError) Error() string { return "open snapshot: " + e.cause.Error() }

// Unwrap returns why the file could not be looked at, if that is why.
func (e *BrokenError) Unwrap() error { return e.cause }

// Check answers a BrokenError where the snapshot is not whole.
func (s *Snapshot) Check() error {
	sizes := s.sizes()
	for _, name := range s.files() {
		info, err := os.Stat(filepath.Join(s.Dir, name))
		if err != nil {
			return &BrokenError{File: name, cause: err}
		}
		if wantBytes, known := sizes[name]; known && info.Size() != wantBytes {
			return &BrokenError{File: name, cause: fmt.Errorf("%s has %d bytes, want %d", filepath.Join(s.Dir, name), info.Size(), wantBytes)}
		}
	}
	return nil
}

func writeManifest(directory string, manifest Manifest) error {
	content, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(directory, manifestFile), content, 0o600); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// sync makes every file durable.
func (s *Snapshot) sync() error {
	for _, name := range append(s.files(), ".") {
		if err := disk.SyncFile(filepath.Join(s.Dir, name)); err != nil {
			return err
		}
	}
	return nil
}
