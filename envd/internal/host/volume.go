package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// ErrBadVolume is returned for a malformed volume.
var ErrBadVolume = errors.New("malformed volume")

// Volume is a directory of an NFS server and its mount point.
type Volume struct {
	Target string `json:"nfs_target"` // server:/directory
	Path   string `json:"path"`       // absolute, and not the root
}

// Check validates the volume.
func (v Volume) Check() error {
	server, directory, found := strings.Cut(v.Target, ":/")
	switch {
	case !found || server == "" || strings.ContainsAny(v.Target, "\x00\n ,") || strings.HasPrefix(server, "-"):
		return fmt.Errorf("%w: nfs_target %q is not server:/directory", ErrBadVolume, v.Target)
	case strings.Contains("/"+directory+"/", "/../"):
		return fmt.Errorf("%w: nfs_target %q leaves its directory", ErrBadVolume, v.Target)
	case !filepath.IsAbs(v.Path) || filepath.Clean(v.Path) == "/" || strings.ContainsAny(v.Path, "\x00\n"):
		return fmt.Errorf("%w: path %q is not an absolute path below /", ErrBadVolume, v.Path)
	default:
		return nil
	}
}

// Volumes mounts the host's volumes. The zero value uses the guest agent's own program for
// volumes and the guest's table of mounts. The kernel loads the file system's module.
type Volumes struct {
	program, table string
}

const (
	// mountTimeout bounds one mount.
	mountTimeout = 10 * time.Second
	// nfsOptions suit the host's server: one port for mounts and calls, no locks. The
	// mount is hard: processes wait, and can be killed, while the server does not
	// answer. Changes by other guests are visible within a second (actimeo).
	nfsOptions = "vers=3,proto=tcp,port=2049,mountproto=tcp,mountport=2049,nolock,hard,noresvport,actimeo=1,lookupcache=positive"
)

func (v Volumes) orOwn() Volumes {
	if v.program == "" {
		return Volumes{program: agentProgram, table: filesystem.MountTable}
	}
	return v
}

// MountAll mounts these volumes and unmounts the host's others, which belong to the
// sandbox that this guest's snapshot is of. It goes on after an error.
func (v Volumes) MountAll(ctx context.Context, wanted []Volume) error {
	v = v.orOwn()
	failures := []error{v.unmountOthers(wanted)}
	for _, volume := range wanted {
		failures = append(failures, v.Mount(ctx, volume))
	}
	return errors.Join(failures...)
}

// Sync writes dirty pages of the host's volumes to the host. A process of its own syncs
// each, so that it can be killed if the host does not answer.
func (v Volumes) Sync(ctx context.Context) error {
	v = v.orOwn()
	all, err := filesystem.ReadMounts(v.table)
	failures := []error{err}
	for _, mount := range all {
		if mount.Type != "nfs" || !ofHost(mount.Source) {
			continue
		}
		if err := v.run(ctx, "sync", mount.Path); err != nil {
			failures = append(failures, fmt.Errorf("sync %s: %w", mount.Path, err))
		}
	}
	return errors.Join(failures...)
}

// Mount mounts a volume, unless it is mounted.
func (v Volumes) Mount(ctx context.Context, volume Volume) error {
	v = v.orOwn()
	path := filepath.Clean(volume.Path)
	source, err := v.mountedAt(path)
	if err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	if source == volume.Target {
		return nil
	}
	if source != "" {
		return fmt.Errorf("mount %s: %q is mounted there", path, source)
	}
	const directoryMode = 0o755
	if err := os.MkdirAll(path, directoryMode); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(ctx, mountTimeout)
	defer cancel()
	server, _, _ := strings.Cut(volume.Target, ":/")
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", server)
	if err != nil {
		return fmt.Errorf("mount %s: find %s: %w", path, server, err)
	}
	address := addresses[0].Unmap()
	options := fmt.Sprintf("%s,addr=%s,mountaddr=%s", nfsOptions, address, address)
	if err := v.run(ctx, "mount", volume.Target, path, options); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

// run runs the program for volumes, which is killed when the context ends.
func (v Volumes) run(ctx context.Context, arguments ...string) error {
	command := exec.CommandContext(ctx, v.program)
	command.Args = append([]string{VolumeProgram}, arguments...)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// mountedAt returns the source of the mount at path; empty for none.
func (v Volumes) mountedAt(path string) (source string, err error) {
	all, err := filesystem.ReadMounts(v.table)
	for _, mount := range all {
		if mount.Path == path {
			source = mount.Source // the last mount covers the others
		}
	}
	return source, err
}

// unmountOthers unmounts the host's volumes that are not wanted, without waiting for their
// server, which may not exist any more.
func (v Volumes) unmountOthers(wanted []Volume) error {
	all, err := filesystem.ReadMounts(v.table)
	if err != nil {
		return fmt.Errorf("look for volumes: %w", err)
	}
	var failures []error
	for _, mount := range slices.Backward(all) {
		isWanted := slices.ContainsFunc(wanted, func(volume Volume) bool {
			return volume.Target == mount.Source && filepath.Clean(volume.Path) == mount.Path
		})
		if mount.Type != "nfs" || !ofHost(mount.Source) || isWanted {
			continue
		}
		if err := unix.Unmount(mount.Path, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
			failures = append(failures, fmt.Errorf("unmount %s: %w", mount.Path, err))
		}
	}
	return errors.Join(failures...)
}

// ofHost reports whether the host serves a mount, and not a server that the user mounted:
// only the host has a link-local address.
func ofHost(source string) bool {
	server, _, _ := strings.Cut(source, ":/")
	address, err := netip.ParseAddr(server)
	return err == nil && address.IsLinkLocalUnicast()
}
