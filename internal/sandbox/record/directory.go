package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/guestdisk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// Directory is the path of a sandbox's directory. It holds the record, the files of the
// VM that runs, and the sandbox's own snapshot once it was paused.
type Directory string

// Names in the directory.
const (
	recordFile     = "sandbox.json"
	runDirectory   = "run"
	diskFile       = "disk"
	memoryFile     = "memory"
	layerFile      = "layer"
	wrennFile      = "wrenn"
	snapshotPrefix = "snapshot-"
)

func (d Directory) join(name string) string { return filepath.Join(string(d), name) }

func (d Directory) record() string { return d.join(recordFile) }

// Run is the VMM's directory for sockets and logs.
func (d Directory) Run() string { return d.join(runDirectory) }

// Disk is the live disk of the VM that runs.
func (d Directory) Disk() string { return d.join(diskFile) }

// Memory is a second name, a hard link, of the memory file that the VM was started from.
// The file exists as long as a pause may have to compare the VM's memory with it, also
// when the snapshot is deleted; clones still share it in the page cache.
func (d Directory) Memory() string { return d.join(memoryFile) }

// Layer is the layer that a machine with layers was started with.
func (d Directory) Layer() string { return d.join(layerFile) }

// Wrenn is the image of Wrenn's directory of a machine with layers; others have no such
// file.
func (d Directory) Wrenn() string { return d.join(wrennFile) }

// Source is what a snapshot is taken of; machine is nil for one that has ended.
func (d Directory) Source(machine vmm.Machine) snapshot.Source {
	source := snapshot.Source{Machine: machine, MemoryPath: d.Memory(), DiskPath: d.Disk()}
	if _, err := os.Stat(d.Wrenn()); err == nil {
		source.DirectoryPath, source.LayerPath = d.Wrenn(), d.Layer()
	}
	return source
}

// Snapshot is the path of the sandbox's own snapshot with that name.
func (d Directory) Snapshot(name string) string { return d.join(name) }

// NewSnapshotName is a name for the sandbox's next own snapshot.
func NewSnapshotName() string { return fmt.Sprintf("%s%d", snapshotPrefix, time.Now().UnixNano()) }

// HasSnapshots reports whether there is a snapshot of the sandbox's own.
func (d Directory) HasSnapshots() (bool, error) {
	found, err := filepath.Glob(d.join(snapshotPrefix + "*"))
	return len(found) > 0, err
}

// ShareFiles gives the sandbox its own names for the files of the snapshot that it starts
// from: a clone of the disk, and the memory, which is never written to. For a snapshot
// without memory the memory file is empty.
func (d Directory) ShareFiles(ctx context.Context, base *snapshot.Snapshot) error {
	if err := os.MkdirAll(d.Run(), 0o700); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	var err error
	if base.DiskOnly {
		err = disk.CreateSparse(d.Memory(), int64(base.MemoryMiB)<<20)
	} else {
		err = os.Link(base.State().MemoryPath, d.Memory())
	}
	if err != nil {
		return fmt.Errorf("share memory: %w", err)
	}
	return d.ShareDisk(ctx, base)
}

// ShareDisk gives the sandbox the disk of the snapshot: a clone, or where machines share
// it, a second name.
func (d Directory) ShareDisk(ctx context.Context, base *snapshot.Snapshot) error {
	if base.Layered {
		return guestdisk.Share(ctx, base, guestdisk.Files{Disk: d.Disk(), Directory: d.Wrenn(), Layer: d.Layer()})
	}
	return base.CloneDisk(d.Disk())
}

// RemoveDisk removes what ShareDisk has made, whole or in part.
func (d Directory) RemoveDisk() error {
	return errors.Join(disk.RemoveIfThere(d.Disk()), disk.RemoveIfThere(d.Layer()), disk.RemoveIfThere(d.Wrenn()))
}

// RemoveFiles removes what ShareFiles has made, whole or in part.
func (d Directory) RemoveFiles() error {
	return errors.Join(d.RemoveDisk(), disk.RemoveIfThere(d.Memory()), os.RemoveAll(d.Run()))
}

// KeepRunning removes what a crash left beside a VM that runs and its own snapshot.
func (d Directory) KeepRunning(snapshotName string) error {
	return d.keep(recordFile, memoryFile, diskFile, layerFile, wrennFile, runDirectory, snapshotName)
}

// KeepPaused removes what a crash left beside the snapshot of a paused sandbox.
func (d Directory) KeepPaused(snapshotName string) error { return d.keep(recordFile, snapshotName) }

func (d Directory) keep(names ...string) error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if slices.Contains(names, entry.Name()) {
			continue
		}
		if err := os.RemoveAll(d.join(entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
