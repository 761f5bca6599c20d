package filesystem

import (
	"path/filepath"
	"strings"

	shared "git.omukk.dev/wrenn/sandbox/envd/internal/shared/filesystem"
)

// mounts are the types of mounted file systems, by mount point.
type mounts map[string]string

func readMounts(table string) (mounts, error) {
	all, err := shared.ReadMounts(table)
	if err != nil {
		return nil, err
	}
	known := make(mounts)
	for _, mount := range all {
		known[mount.Path] = mount.Type
	}
	return known, nil
}

// onNetwork tells whether a clean, absolute path is on a file system that other
// machines or a program serve: inotify does not report the changes they make.
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
