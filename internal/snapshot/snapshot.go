// Package snapshot is a saved machine, in a directory: its memory, its devices, its disk
// and a manifest. Templates and paused sandboxes are both snapshots, and are started the
// same way.
package snapshot

import (
	"cmp"
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

// formatVersion changes when older snapshots cannot be read any more.
const formatVersion = 1

// Manifest describes a snapshot.
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
	// Secret is what the guest agent in the memory requires of its host, until the next
	// life gives it another; empty for a template's, which was never told one.
	Secret string `json:"secret,omitempty"`
	// RequestID is that of the request for it, if it had one.
	RequestID string `json:"requestId,omitempty"`
	// DiskOnly: there is no memory; the machine has to be booted.
	DiskOnly bool `json:"diskOnly,omitempty"`
	// Layered: the disk is an EROFS image, which its machines share, with a layer of
	// changes over it and an image of Wrenn's directory. See vmm.Capabilities.
	Layered bool `json:"layered,omitempty"`
	// FileBytes are the sizes of the files of a layered snapshot.
	FileBytes map[string]int64 `json:"fileBytes,omitempty"`
	// GuestUnresponsive: the guest agent in the memory did not answer.
	GuestUnresponsive bool `json:"guestUnresponsive,omitempty"`
	// Defaults are what sandboxes that are created from it begin with.
	Defaults Defaults `json:"defaults,omitzero"`
	// FinishKey stands for everything that a finished build was made of; empty for what is
	// no build.
	FinishKey string `json:"finishKey,omitempty"`
	// Start is what runs in the guests of a finished build; nil for other snapshots, and
	// for builds of earlier versions.
	Start *Start `json:"start,omitempty"`
	// ImageDigest is the digest of the image that a build is from; empty for none.
	ImageDigest string `json:"imageDigest,omitempty"`
	// MadeBy is the VMM that the memory and devices restore with.
	MadeBy vmm.Maker `json:"madeBy,omitzero"`
}

// Defaults are what a template gives to the commands of its sandboxes.
type Defaults struct {
	// User runs commands whose caller names no user; empty for the user "user".
	User string `json:"user,omitempty"`
	// Workdir is where commands start whose caller names no directory; empty for the
	// user's home.
	Workdir string `json:"workdir,omitempty"`
	// Environment is for every command. What a sandbox is created with has precedence.
	Environment map[string]string `json:"environment,omitempty"`
}

// Snapshot is a complete snapshot on disk. Its files are never written to again.
type Snapshot struct {
	Manifest
	Dir string

	stored stored
}

// WithoutMemory is the same snapshot with only its disk: a machine has to be booted, and
// its agent knows no secret.
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

// DiskPath is the saved disk. A machine is started from a clone of it, which CloneDisk
// makes.
func (s *Snapshot) DiskPath() string { return filepath.Join(s.Dir, cmp.Or(s.stored.name, diskFile)) }

// LayerPath is the saved layer over the disk, if the snapshot is layered.
func (s *Snapshot) LayerPath() string { return filepath.Join(s.Dir, layerFile) }

// DirectoryPath is the image of Wrenn's directory, if the snapshot is layered.
func (s *Snapshot) DirectoryPath() string { return filepath.Join(s.Dir, wrennFile) }

// Remove deletes the snapshot. Machines that were started from it run on: they have its
// memory file open.
func (s *Snapshot) Remove() error {
	// The manifest is removed first: a half-removed snapshot must not look complete.
	if err := os.Remove(filepath.Join(s.Dir, manifestFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove snapshot: %w", err)
	}
	return os.RemoveAll(s.Dir)
}

// Source is the stopped machine that a snapshot is taken of.
type Source struct {
	// Machine writes memory and devices; it is not used for a snapshot without memory.
	Machine vmm.Machine
	// MemoryPath is the memory file that the machine was started from.
	MemoryPath string
	// DiskPath is its live disk.
	DiskPath string
	// BeforeStartPath is the disk as it was before the start command of a build; empty for
	// a machine without one.
	BeforeStartPath string
	// DirectoryPath is the image of Wrenn's directory of a machine with layers; empty for
	// others.
	DirectoryPath string
	// LayerPath is the layer that such a machine was started with. It is saved again where
	// there is no machine.
	LayerPath string
}

// Take writes a snapshot of a stopped machine into directory, which must not exist. It is
// durable on return. A crash leaves all of it or none.
func Take(ctx context.Context, source Source, manifest Manifest, directory string) (*Snapshot, error) {
	return take(ctx, source, manifest, directory, true)
}

// TakeTransient is Take for a snapshot that is not needed after a crash: it does not wait
// for the disk.
func TakeTransient(ctx context.Context, source Source, manifest Manifest, directory string) (*Snapshot, error) {
	return take(ctx, source, manifest, directory, false)
}

// unfinishedSuffix ends the names of directories in which snapshots are being made.
const unfinishedSuffix = ".new"

// IsUnfinished reports whether a directory of that name is a snapshot that was never
// published, also if it looks complete.
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
	manifest.Layered, manifest.FileBytes = source.DirectoryPath != "", nil
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
	made := &Snapshot{Manifest: unfinished.Manifest, Dir: directory}
	if !durable {
		return made, nil
	}
	if err := disk.SyncFile(filepath.Dir(directory)); err != nil {
		return nil, errors.Join(fmt.Errorf("publish snapshot: %w", err), made.Remove())
	}
	return made, nil
}

// write writes all files of a snapshot.
func (s *Snapshot) write(ctx context.Context, source Source) error {
	writeDisk := s.cloneDisk
	if s.Layered {
		writeDisk = s.writeLayer
	}
	if err := writeDisk(ctx, source); err != nil {
		return err
	}
	if source.BeforeStartPath != "" {
		if err := disk.Clone(source.BeforeStartPath, filepath.Join(s.Dir, beforeStartFile)); err != nil {
			return err
		}
	}
	if !s.DiskOnly {
		if !s.Layered { // a layered machine writes all of its memory
			if err := disk.Clone(source.MemoryPath, s.State().MemoryPath); err != nil {
				return err
			}
		}
		if err := source.Machine.Snapshot(ctx, s.State()); err != nil {
			return err
		}
	}
	if s.Layered {
		if err := s.measure(); err != nil {
			return err
		}
	}
	return writeManifest(s.Dir, s.Manifest)
}

func (s *Snapshot) cloneDisk(_ context.Context, source Source) error {
	return disk.Clone(source.DiskPath, s.DiskPath())
}

// Open opens the snapshot in a directory and checks that it is complete.
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

// BrokenError is returned for a snapshot that lacks a file or a part of one.
type BrokenError struct {
	File  string
	cause error
}

// Error says what is missing.
func (e *BrokenError) Error() string { return "open snapshot: " + e.cause.Error() }

// Unwrap returns the cause.
func (e *BrokenError) Unwrap() error { return e.cause }

// Check returns a BrokenError unless the snapshot is complete.
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
