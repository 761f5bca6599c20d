package nfs

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// node is a file, directory or link of an export while a call works on it.
type node struct {
	export *Export
	handle unix.FileHandle
	path   int // an O_PATH descriptor
	stat   unix.Stat_t
}

func (n *node) close() { release(n.path) }

// release closes a descriptor. Writes are already with the kernel: an error says nothing.
func release(file int) { _ = unix.Close(file) }

// look reads the node's attributes.
func (n *node) look() error {
	return unix.Fstatat(n.path, "", &n.stat, unix.AT_EMPTY_PATH)
}

func (n *node) kind() uint32 { return n.stat.Mode & unix.S_IFMT }

// reopen opens the node by its handle. With flags other than O_PATH it is called for
// regular files and directories only: opening a device or a pipe has side effects.
func (n *node) reopen(flags int) (int, error) {
	file, err := unix.OpenByHandleAt(int(n.export.root.Fd()), n.handle, flags|unix.O_CLOEXEC)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
		return -1, errStale
	}
	return file, err
}

// openFile opens the content of a regular file.
func (n *node) openFile(flags int) (int, error) {
	switch n.kind() {
	case unix.S_IFREG:
		return n.reopen(flags | unix.O_NOFOLLOW | unix.O_NONBLOCK)
	case unix.S_IFDIR:
		return -1, errIsDirectory
	default:
		return -1, errInvalid
	}
}

func (n *node) openDirectory() (int, error) {
	if n.kind() != unix.S_IFDIR {
		return -1, errNotDirectory
	}
	return n.reopen(unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW)
}

// child opens an entry of a directory; of a link, the link itself.
func (n *node) child(name string) (*node, error) {
	if n.kind() != unix.S_IFDIR {
		return nil, errNotDirectory
	}
	path, err := unix.Openat(n.path, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := &node{export: n.export, path: path}
	if c.handle, _, err = unix.NameToHandleAt(path, "", unix.AT_EMPTY_PATH); err == nil {
		err = c.look()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// maxName is the longest name of a Linux file system.
const maxName = 255

// checkName refuses names that lead out of their directory.
func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return errNameTooLong
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00"):
		return errInvalid
	default:
		return nil
	}
}

// Permissions, as in the mode of a file.
const (
	mayRead  = 4
	mayWrite = 2
	mayEnter = 1
)

// allows reports whether a caller has permissions, by the rules of a local kernel.
func (n *node) allows(who caller, wanted uint32) bool {
	switch {
	case who.uid == 0:
		return wanted != mayEnter || n.kind() == unix.S_IFDIR || n.stat.Mode&0o111 != 0
	case who.uid == n.stat.Uid:
		return n.stat.Mode>>6&wanted == wanted
	case who.in(n.stat.Gid):
		return n.stat.Mode>>3&wanted == wanted
	default:
		return n.stat.Mode&wanted == wanted
	}
}

func (n *node) owns(who caller) bool { return who.uid == 0 || who.uid == n.stat.Uid }

// mayChange returns an error unless a caller may make, rename and remove entries of a
// directory.
func (n *node) mayChange(who caller) error {
	if n.kind() != unix.S_IFDIR {
		return errNotDirectory
	}
	if !n.allows(who, mayWrite|mayEnter) {
		return errAccess
	}
	return nil
}

// mayRemove is mayChange for an existing name, which in a sticky directory only its owner
// may remove.
func (n *node) mayRemove(who caller, name string) error {
	if err := n.mayChange(who); err != nil || n.stat.Mode&unix.S_ISVTX == 0 || n.owns(who) {
		return err
	}
	c, err := n.child(name)
	if err != nil {
		return err
	}
	defer c.close()
	if !c.owns(who) {
		return errPermission
	}
	return nil
}
