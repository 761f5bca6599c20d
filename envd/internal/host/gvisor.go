package host

import (
	"context"
	"errors"
	"time"
)

// ErrNoVolumes is returned for volumes in a guest whose kernel cannot mount them.
var ErrNoVolumes = errors.New("a guest of gVisor's cannot mount volumes: its kernel has no NFS")

// GVisor is the guest whose kernel is gVisor's. Time and random numbers are the host's, also
// after a restore; the host saves its file system whole while its processes stand still.
type GVisor struct{ Machine }

// SetClock does nothing: the clock is the host's.
func (GVisor) SetClock(time.Time) error { return nil }

// Reseed does nothing: the kernel asks the host's for random numbers.
func (GVisor) Reseed(Seed, string) error { return nil }

// FreezeFilesystem does nothing: there is nothing to write out.
func (GVisor) FreezeFilesystem() error { return nil }

// ThawFilesystem does nothing.
func (GVisor) ThawFilesystem() error { return nil }

// Collapse does nothing: the kernel has no huge pages.
func (GVisor) Collapse() (Collapsed, error) { return Collapsed{}, nil }

// SyncVolumes does nothing: there are none.
func (GVisor) SyncVolumes(context.Context) error { return nil }

// MountVolumes refuses volumes.
func (GVisor) MountVolumes(_ context.Context, volumes []Volume) error {
	if len(volumes) > 0 {
		return ErrNoVolumes
	}
	return nil
}
