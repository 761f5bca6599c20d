package guestdisk

import (
	"context"
	"fmt"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// Files are those of a disk with layers, of one machine.
type Files struct {
	// Disk and Directory are images, Layer is what is changed of the first.
	Disk, Directory, Layer string
}

// mostLayerBytes is how large a layer may be that a guest boots with: gVisor reads it into the
// guest's memory.
const mostLayerBytes = 1 << 20

// Share gives a machine a disk with layers, that of a snapshot. Images are never written to,
// so they get second names. A machine that boots gets a new image where it would have to
// read many changes, and no changes of a disk from before them.
func Share(ctx context.Context, from *snapshot.Snapshot, to Files) error {
	if err := os.Link(from.DirectoryPath(), to.Directory); err != nil {
		return fmt.Errorf("share a disk: %w", err)
	}
	changes, err := os.Stat(from.LayerPath())
	if err != nil {
		return fmt.Errorf("share a disk: %w", err)
	}
	if from.DiskOnly && from.HasChanges() && changes.Size() > mostLayerBytes {
		if err := merge(ctx, from.DiskPath(), from.LayerPath(), to.Disk, from.DiskMiB); err != nil {
			return err
		}
		return writeEmptyLayer(to.Layer)
	}
	if err := os.Link(from.DiskPath(), to.Disk); err != nil {
		return fmt.Errorf("share a disk: %w", err)
	}
	if !from.HasChanges() {
		return writeEmptyLayer(to.Layer)
	}
	if err := os.Link(from.LayerPath(), to.Layer); err != nil {
		return fmt.Errorf("share a disk: %w", err)
	}
	return nil
}
