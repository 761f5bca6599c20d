package guest

import (
	"context"
	"errors"

	"git.omukk.dev/wrenn/sandbox/internal/nfs"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/record"
	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
)

// Volumes is where a host keeps its volumes.
type Volumes interface {
	// Content is the directory of a volume's files, and a secret that stays the same as
	// long as the volume exists.
	Content(volumeID string) (directory string, key []byte, err error)
	// SetLimit sets how many bytes a volume may hold.
	SetLimit(volumeID string, maxBytes int64) error
	// Quota enforces the limit on what changes a volume.
	Quota(volumeID string) (*quota.Quota, error)
	// Room returns ENOSPC where there is no room for so many bytes more.
	Room(bytes int64) error
}

// ErrNoVolumes is returned for volumes on a host whose guests cannot mount them.
var ErrNoVolumes = errors.New("volumes cannot be mounted in sandboxes of gVisor's: create the sandbox with isolation \"vm\", or on a host with another driver")

// CheckVolumes checks that the volumes of a new sandbox exist, and sets their limits.
func (h *Host) CheckVolumes(mounts []record.VolumeMount) error {
	if len(mounts) > 0 && h.hasLayers() {
		return ErrNoVolumes
	}
	for _, mount := range mounts {
		if _, _, err := h.config.Volumes.Content(mount.VolumeID); err != nil {
			return err
		}
		if mount.MaxBytes == 0 {
			continue
		}
		if err := h.config.Volumes.SetLimit(mount.VolumeID, mount.MaxBytes); err != nil {
			return err
		}
	}
	return nil
}

// serveVolumes serves the sandbox's volumes to its guest only. It is called before the
// guest's kernel runs, which may have them mounted already.
func (h *Host) serveVolumes(ctx context.Context, g *Guest) error {
	if len(g.spec.Volumes) == 0 {
		return nil
	}
	exports := make([]nfs.Export, 0, len(g.spec.Volumes))
	for _, mount := range g.spec.Volumes {
		directory, key, err := h.config.Volumes.Content(mount.VolumeID)
		if err != nil {
			return err
		}
		limit, err := h.config.Volumes.Quota(mount.VolumeID)
		if err != nil {
			return err
		}
		exports = append(exports, nfs.Export{Name: mount.VolumeID, Directory: directory, Key: key, Room: h.config.Volumes.Room, Quota: limit})
	}
	listener, err := g.slot.ListenForFiles(ctx)
	if err != nil {
		return err
	}
	g.files, err = nfs.Serve(listener, exports, h.config.Log.With("sandbox", g.spec.ID))
	return err
}

// StopServing ends the server of the guest's volumes, if there is one.
func (g *Guest) StopServing() {
	if g.files != nil {
		g.files.Close()
		g.files = nil
	}
}
