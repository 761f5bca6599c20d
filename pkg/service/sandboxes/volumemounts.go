package sandboxes

import (
	"context"
	"fmt"
	"path"
	"regexp"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/service/volumes"
)

const (
	// maxVolumeMounts is how many volumes a sandbox mounts at most.
	maxVolumeMounts = 16
	maxMountPath    = 1024
)

// VolumeMount is a volume, by its name in the team, and the absolute path at which
// a sandbox wants to see it.
type VolumeMount struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

// mountPath is where a volume may appear: what needs no quoting in the guest's
// table of mounts.
var mountPath = regexp.MustCompile(`^(/[A-Za-z0-9._@+:-]+)+$`)

// reservedPaths are the guest kernel's own file systems.
var reservedPaths = regexp.MustCompile(`^/(proc|sys|dev)(/|$)`)

func validateMounts(mounts []VolumeMount) error {
	if len(mounts) > maxVolumeMounts {
		return fault.New(fault.Invalid, "volumeMounts has %d volumes; at most %d are possible", len(mounts), maxVolumeMounts)
	}
	taken := map[string]bool{}
	for i, mount := range mounts {
		switch {
		case !volumes.NamePattern.MatchString(mount.Name):
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

// findMounts finds the volumes that a new sandbox wants and the host that has them
// all, the zero UUID where it wants none.
func (s *Service) findMounts(ctx context.Context, teamID uuid.UUID, wanted []VolumeMount) ([]rows.VolumeMount, uuid.UUID, error) {
	if len(wanted) == 0 {
		return nil, uuid.Nil, nil
	}
	names := make([]string, len(wanted))
	for i, mount := range wanted {
		names[i] = mount.Name
	}
	found, err := s.Queries.FindVolumes(ctx, rows.FindVolumesParams{TeamID: teamID, Names: names})
	if err != nil {
		return nil, uuid.Nil, fmt.Errorf("find volumes: %w", err)
	}
	byName := map[string]rows.Volume{}
	for _, volume := range found {
		byName[volume.Name] = volume
	}
	hostID, mounts := uuid.Nil, make([]rows.VolumeMount, len(wanted))
	for i, mount := range wanted {
		volume, there := byName[mount.Name]
		if !there {
			return nil, uuid.Nil, fault.New(fault.Invalid, "volume %q was not found", mount.Name)
		}
		if hostID != uuid.Nil && hostID != volume.HostID {
			return nil, uuid.Nil, fault.New(fault.Conflict, "volumes %q and %q are on different hosts", wanted[0].Name, mount.Name)
		}
		hostID, mounts[i] = volume.HostID, rows.VolumeMount{VolumeID: volume.ID, Name: volume.Name, Path: mount.Path}
	}
	return mounts, hostID, nil
}

// storeMounts belongs to the transaction that stores a sandbox: until it ends none
// of the volumes is deleted, and then the sandbox is found to mount them.
func storeMounts(ctx context.Context, queries *rows.Queries, sandbox *rows.Sandbox, mounts []rows.VolumeMount) error {
	if len(mounts) == 0 {
		return nil
	}
	wanted := map[string]bool{}
	var ids []string
	for _, mount := range mounts {
		if !wanted[mount.VolumeID] {
			wanted[mount.VolumeID] = true
			ids = append(ids, mount.VolumeID)
		}
	}
	held, err := queries.HoldVolumes(ctx, ids)
	if err != nil {
		return fmt.Errorf("hold volumes: %w", err)
	}
	if len(held) != len(ids) {
		return fault.New(fault.Conflict, "a volume was deleted meanwhile")
	}
	if err := queries.SetVolumeMounts(ctx, rows.SetVolumeMountsParams{ID: sandbox.ID, VolumeMounts: mounts}); err != nil {
		return fmt.Errorf("store the volumes of sandbox %s: %w", sandbox.ID, err)
	}
	sandbox.VolumeMounts = mounts
	return nil
}

func hostMounts(mounts []rows.VolumeMount) []host.VolumeMount {
	all := make([]host.VolumeMount, 0, len(mounts))
	for _, mount := range mounts {
		all = append(all, host.VolumeMount{VolumeID: mount.VolumeID, Path: mount.Path})
	}
	return all
}
