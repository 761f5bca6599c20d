package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrBadVolume is returned for a volume that cannot be meant.
var ErrBadVolume = errors.New("malformed volume")

// Volume is a directory of an NFS server and where it appears.
type Volume struct {
	Target string `json:"nfs_target"` // server:/directory
	Path   string `json:"path"`       // absolute, and not the root
}

// Check tells whether the volume could be mounted at all.
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

// Volumes mounts what the host lends. The zero value uses the machine's own
// mount program and table.
type Volumes struct {
	program, table string
}

// mountTimeout bounds how long a server may take to answer.
const mountTimeout = 10 * time.Second

// Mount makes a volume appear. One that is mounted already stays as it is.
func (v Volumes) Mount(ctx context.Context, volume Volume) error {
	if v.program == "" {
		v.program, v.table = "/bin/mount", "/proc/self/mountinfo"
	}
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
	// Soft, so that a server which is gone costs an error and not a process
	// that nothing can kill.
	options := fmt.Sprintf("vers=4.2,proto=tcp,soft,timeo=50,retrans=2,nosuid,nodev,addr=%s", addresses[0].Unmap())
	output, err := exec.CommandContext(ctx, v.program, "-i", "-t", "nfs4", "-o", options, "--", volume.Target, path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount %s: %w: %s", path, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// mountedAt returns what is mounted at path, empty for nothing.
// Source: proc_pid_mountinfo(5).
func (v Volumes) mountedAt(path string) (source string, err error) {
	content, err := os.ReadFile(v.table)
	if err != nil {
		return "", err
	}
	const pathField, fieldsNeeded = 4, 5
	for line := range strings.Lines(string(content)) {
		place, device, found := strings.Cut(line, " - ")
		fields, origin := strings.Fields(place), strings.Fields(device)
		if found && len(fields) >= fieldsNeeded && len(origin) > 1 && fields[pathField] == path {
			source = origin[1] // the last mount hides the ones before
		}
	}
	return source, nil
}
