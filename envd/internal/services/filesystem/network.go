package filesystem

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mounts are the types of what is mounted, by mount point. They come from a
// list of the kernel's, because asking the file system itself waits without end
// for a server that is gone.
type mounts map[string]string

func readMounts() (mounts, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read what is mounted: %w", err)
	}
	return parseMounts(string(content)), nil
}

// parseMounts reads mountinfo: six fields, of which the fifth is the mount
// point, more up to a dash, then the type. A later line covers an earlier one.
// Source: proc_pid_mountinfo(5).
func parseMounts(text string) mounts {
	const mountPoint = 4
	known := make(mounts)
	for line := range strings.Lines(text) {
		place, kind, found := strings.Cut(line, " - ")
		fields := strings.Fields(place)
		kinds := strings.Fields(kind)
		if found && len(fields) > mountPoint && len(kinds) > 0 {
			known[unescapeMount.Replace(fields[mountPoint])] = kinds[0]
		}
	}
	return known
}

var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// onNetwork tells whether others change what is at a clean, absolute path, too:
// other machines, or a program that answers for it. inotify does not see what
// they do.
func (m mounts) onNetwork(path string) bool {
	for {
		if kind, found := m[path]; found {
			return isNetworkType(kind)
		}
		if path == "/" || path == "." {
			return false
		}
		path = filepath.Dir(path)
	}
}

func isNetworkType(kind string) bool {
	if strings.HasPrefix(kind, "fuse.") {
		return true
	}
	switch kind {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse", "9p", "virtiofs", "ceph", "afs", "coda", "ncpfs",
		"ocfs2", "gfs2", "lustre", "orangefs", "pvfs2", "beegfs", "glusterfs":
		return true
	default:
		return false
	}
}
