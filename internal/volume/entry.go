package volume

import (
	"io/fs"
	"path"
	"syscall"
	"time"
)

// entry is a file, directory or link of a volume, as clients see it.
type entry struct {
	Name   string    `json:"name"`
	Type   string    `json:"type"`
	Path   string    `json:"path"`
	Size   int64     `json:"size"`
	Mode   uint32    `json:"mode"`
	UID    uint32    `json:"uid"`
	GID    uint32    `json:"gid"`
	Atime  time.Time `json:"atime"`
	Mtime  time.Time `json:"mtime"`
	Ctime  time.Time `json:"ctime"`
	Target string    `json:"target,omitempty"`
}

// modeMask is the bits of a mode that a volume keeps: no setuid and setgid.
const modeMask = 0o1777

// describe describes an entry; of a link, the link itself.
func describe(root contents, name string) (entry, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return entry{}, err
	}
	return entryOf(root, name, info), nil
}

func entryOf(root contents, name string, info fs.FileInfo) entry {
	described := entry{
		Name: path.Base(clientPath(name)), Type: typeOf(info.Mode()), Path: clientPath(name), Size: info.Size(), Mtime: info.ModTime().UTC(),
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		described.Mode, described.UID, described.GID = stat.Mode&modeMask, stat.Uid, stat.Gid
		described.Atime, described.Ctime = time.Unix(stat.Atim.Unix()).UTC(), time.Unix(stat.Ctim.Unix()).UTC()
	}
	if described.Type == "symlink" {
		described.Target, _ = root.Readlink(name) // it may have been removed meanwhile
	}
	return described
}

// clientPath is a name in a volume as clients write it.
func clientPath(name string) string { return path.Join("/", name) }

func typeOf(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "file"
	case mode.IsDir():
		return "directory"
	case mode&fs.ModeSymlink != 0:
		return "symlink"
	default:
		return "unknown"
	}
}
