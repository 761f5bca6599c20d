// Package filetree is the tree of files that the layers of an image make together. It is in
// memory; contents of files are elsewhere, and nodes say where.
//
// Everything that comes into a tree is hostile. Names stay below the root, also those that
// lead through symbolic links, and each node has been checked against Limits.
package filetree

import "golang.org/x/sys/unix"

// Node is a file, directory, link or device.
type Node struct {
	// Mode is as st_mode of inode(7): type and permissions.
	Mode     uint32
	UID, GID uint32
	// Seconds since 1970, and Nanoseconds from 0 to 999,999,999, are the time of the last
	// change.
	Seconds     int64
	Nanoseconds uint32
	// Size is a regular file's, in bytes.
	Size int64
	// Extents are where a regular file's content is, in order. What is between them is
	// zeros.
	Extents []Extent
	// Target is a symbolic link's.
	Target string
	// Major and Minor are a device's numbers.
	Major, Minor uint32
	// Xattrs are extended attributes by their whole names, such as user.x.
	Xattrs map[string]string
	// Links is how many names the node has in the tree; 1 for a directory.
	Links uint32
	// Inode is for who writes the tree to a disk; 0 until then.
	Inode uint32

	entries map[string]entry // a directory's
	parent  *Node            // a directory's; the root's is itself
	length  int              // of a directory's path
}

// Extent is a part of a file's content, in blocks of the disk.
type Extent struct {
	// First is the first block in the file, Block the one on the disk.
	First, Block uint32
	Count        uint32
}

// entry is a name in a directory.
type entry struct {
	node *Node
	// layer is the one that last wrote the name. Whiteouts remove names of earlier layers
	// only.
	layer int
}

// IsDir says whether the node is a directory.
func (n *Node) IsDir() bool { return n.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsSymlink says whether the node is a symbolic link.
func (n *Node) IsSymlink() bool { return n.Mode&unix.S_IFMT == unix.S_IFLNK }

// IsRegular says whether the node is a regular file.
func (n *Node) IsRegular() bool { return n.Mode&unix.S_IFMT == unix.S_IFREG }

// Child returns what a directory has by a name, or nil.
func (n *Node) Child(name string) *Node { return n.entries[name].node }

// Names returns a directory's names, sorted.
func (n *Node) Names() []string { return sortedNames(n.entries) }

// Parent returns a directory's parent; the root's is itself.
func (n *Node) Parent() *Node { return n.parent }
