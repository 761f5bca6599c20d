package sandbox

import (
	"context"
	"fmt"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/nfs"
	"git.omukk.dev/wrenn/sandbox/internal/volume/quota"
)

// VolumeMount is a volume of this host, and the absolute path where a guest sees it.
type VolumeMount struct {
	VolumeID string `json:"volumeId"`
	Path     string `json:"path"`
	// MaxBytes becomes the volume's limit when the sandbox is created; zero leaves it.
	MaxBytes int64 `json:"-"`
}

// volumes is where a host keeps its volumes.
type volumes interface {
	// Content is the directory of what is in a volume, and a secret that is the
	// same as long as the volume is there.
	Content(volumeID string) (directory string, key []byte, err error)
	// SetLimit says how many bytes a volume may hold.
	SetLimit(volumeID string, maxBytes int64) error
	// Quota holds what changes a volume to its limit.
	Quota(volumeID string) (*quota.Quota, error)
	// Room answers ENOSPC where so many bytes more are too many.
	Room(bytes int64) error
}

// maxVolumeMounts is how many volumes the guest agent takes.
const maxVolumeMounts = 64

func (m *Manager) checkVolumes(mounts []VolumeMount) error {
	if len(mounts) > maxVolumeMounts {
		return fmt.Errorf("%d volumes are wanted and %d possible: %w", len(mounts), maxVolumeMounts, ErrInvalid)
	}
	for _, mount := range mounts {
		if _, _, err := m.volumes.Content(mount.VolumeID); err != nil {
			return err
		}
		if mount.MaxBytes == 0 {
			continue
		}
		if err := m.volumes.SetLimit(mount.VolumeID, mount.MaxBytes); err != nil {
			return err
		}
	}
	return nil
}

// serveVolumes lets a guest, and nobody else, reach the volumes that its sandbox
// mounts: before its kernel runs, because that may have them mounted already.
func (m *Manager) serveVolumes(ctx context.Context, s *sandbox, g *guest) error {
	if len(s.record.Volumes) == 0 {
		return nil
	}
	exports := make([]nfs.Export, 0, len(s.record.Volumes))
	for _, mount := range s.record.Volumes {
		directory, key, err := m.volumes.Content(mount.VolumeID)
		if err != nil {
			return err
		}
		held, err := m.volumes.Quota(mount.VolumeID)
		if err != nil {
			return err
		}
		exports = append(exports, nfs.Export{Name: mount.VolumeID, Directory: directory, Key: key, Room: m.volumes.Room, Quota: held})
	}
	listener, err := g.slot.ListenForFiles(ctx)
	if err != nil {
		return err
	}
	g.files, err = nfs.Serve(listener, exports, s.logger(m.log))
	return err
}

// stopServing ends what serveVolumes began.
func (g *guest) stopServing() {
	if g.files != nil {
		g.files.Close()
		g.files = nil
	}
}

// volumeMounts is what a guest is told of the sandbox's volumes. It is never nil:
// a guest may be the copy of one that had others.
func (s *sandbox) volumeMounts() []envdclient.VolumeMount {
	mounts := make([]envdclient.VolumeMount, 0, len(s.record.Volumes))
	for _, mount := range s.record.Volumes {
		mounts = append(mounts, envdclient.VolumeMount{Target: network.GatewayIP + ":/" + mount.VolumeID, Path: mount.Path})
	}
	return mounts
}
