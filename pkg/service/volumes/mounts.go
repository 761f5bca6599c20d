package volumes

import (
	"context"
	"path"
	"regexp"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

const (
	// maxVolumeMounts is how many volumes a sandbox mounts at most.
	maxVolumeMounts = 16
	maxMountPath    = 1024
)

// mountPath is where a volume may appear: what needs no quoting in the guest's
// table of mounts.
var mountPath = regexp.MustCompile(`^(/[A-Za-z0-9._@+:-]+)+$`)

// reservedPaths are the guest kernel's own file systems.
var reservedPaths = regexp.MustCompile(`^/(proc|sys|dev)(/|$)`)

// ValidateMounts checks the mounts that a client asks for.
func ValidateMounts(mounts []sandbox.VolumeMount) error {
	if len(mounts) > maxVolumeMounts {
		return fault.New(fault.Invalid, "volumeMounts has %d volumes; at most %d are possible", len(mounts), maxVolumeMounts)
	}
	taken := map[string]bool{}
	for i, mount := range mounts {
		switch {
		case !NamePattern.MatchString(mount.Name):
			return fault.New(fault.Invalid, "volumeMounts[%d].name is not a volume's name", i)
		case len(mount.Path) > maxMountPath || !mountPath.MatchString(mount.Path) || path.Clean(mount.Path) != mount.Path:
			return fault.New(fault.Invalid, "volumeMounts[%d].path must be a clean absolute path below /", i)
		case reservedPaths.MatchString(mount.Path):
			return fault.New(fault.Invalid, "volumeMounts[%d].path must not be below /proc, /sys or /dev", i)
		case taken[mount.Path]:
			return fault.New(fault.Invalid, "volumeMounts[%d].path is another volume's too", i)
		}
		taken[mount.Path] = true
	}
	return nil
}

// FindMounts returns the mounts of a new sandbox with the IDs of their volumes, and the
// host that has all of these.
func (v *Service) FindMounts(ctx context.Context, teamID uuid.UUID, wanted []sandbox.VolumeMount) ([]sandbox.VolumeMount, uuid.UUID, error) {
	names := make([]string, len(wanted))
	for i, mount := range wanted {
		names[i] = mount.Name
	}
	found, err := newStore(v.pool).named(ctx, teamID, names)
	if err != nil {
		return nil, uuid.Nil, err
	}
	byName := map[string]Volume{}
	for _, volume := range found {
		byName[volume.Name] = volume
	}
	hostID, mounts := uuid.Nil, make([]sandbox.VolumeMount, len(wanted))
	for i, mount := range wanted {
		volume, there := byName[mount.Name]
		if !there {
			return nil, uuid.Nil, fault.New(fault.Invalid, "volume %q was not found", mount.Name)
		}
		if hostID != uuid.Nil && hostID != volume.HostID {
			return nil, uuid.Nil, fault.New(fault.Conflict, "volumes %q and %q are on different hosts", wanted[0].Name, mount.Name)
		}
		hostID, mounts[i] = volume.HostID, sandbox.VolumeMount{VolumeID: volume.ID, Name: volume.Name, Path: mount.Path}
	}
	return mounts, hostID, nil
}
