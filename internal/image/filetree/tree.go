package filetree

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits bound a tree.
type Limits struct {
	// Entries is how many entries all layers together may have, with the directories that
	// they imply.
	Entries int
}

// Bounds of names, as those of Linux.
const (
	maxName = 255
	maxPath = 4095
	// maxSymlinks is how many symbolic links a path may lead through.
	maxSymlinks = 40
	// maxLinks is how many names a file may have: ext4's EXT4_LINK_MAX.
	maxLinks = 65000
)

// Error is a rule that an image breaks. Its text is for the image's owner.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }

func refuse(format string, arguments ...any) error {
	return &Error{text: fmt.Sprintf(format, arguments...)}
}

// Tree is what the layers so far make together. It is not safe for concurrent use.
type Tree struct {
	root    *Node
	limits  Limits
	release func([]Extent)
	layer   int
	entries int
}

// New returns a tree with an empty root. release is told of contents that are no longer in
// it.
func New(limits Limits, release func([]Extent)) *Tree {
	root := newDirectory()
	root.parent = root
	return &Tree{root: root, limits: limits, release: release}
}

func newDirectory() *Node {
	return &Node{Mode: unix.S_IFDIR | 0o755, Links: 1, entries: make(map[string]entry)}
}

// Root returns the root directory.
func (t *Tree) Root() *Node { return t.root }

// BeginLayer says that later calls are of the next layer.
func (t *Tree) BeginLayer() { t.layer++ }

// Put makes name the node. A directory keeps the entries of one that has the name; all
// else replaces what has it. If Put fails, the node is not in the tree.
func (t *Tree) Put(name string, node *Node) error {
	if err := t.count(); err != nil {
		return err
	}
	directory, base, err := t.locate(name)
	if err != nil {
		return err
	}
	if base == "" {
		return t.putRoot(node)
	}
	existing, found := directory.entries[base]
	if node.IsDir() {
		if found && existing.node.IsDir() {
			existing.node.copyAttributes(node)
			directory.entries[base] = entry{existing.node, t.layer}
			return nil
		}
		if err := node.enter(directory, base); err != nil {
			return err
		}
	}
	if found {
		t.drop(existing.node)
	}
	node.Links = 1
	directory.entries[base] = entry{node, t.layer}
	return nil
}

func (t *Tree) putRoot(node *Node) error {
	if !node.IsDir() {
		return refuse("the root of the file system is not a directory")
	}
	t.root.copyAttributes(node)
	return nil
}

// copyAttributes takes over what another directory has besides its entries.
func (n *Node) copyAttributes(other *Node) {
	n.Mode, n.UID, n.GID, n.Xattrs = other.Mode, other.UID, other.GID, other.Xattrs
	n.Seconds, n.Nanoseconds = other.Seconds, other.Nanoseconds
}

// enter prepares a directory to be an entry of another.
func (n *Node) enter(directory *Node, name string) error {
	length := directory.length + 1 + len(name)
	if length > maxPath {
		return refuse("a path is longer than %d bytes", maxPath)
	}
	n.parent, n.length = directory, length
	if n.entries == nil {
		n.entries = make(map[string]entry)
	}
	return nil
}

// Link makes name another name of the file that target names.
func (t *Tree) Link(name, target string) error {
	if err := t.count(); err != nil {
		return err
	}
	from, fromBase, err := t.locate(target)
	if err != nil {
		return err
	}
	node := from.entries[fromBase].node
	if node == nil {
		return refuse("%s is a hard link to %s, which does not exist", quote(name), quote(target))
	}
	if node.IsDir() {
		return refuse("%s is a hard link to the directory %s", quote(name), quote(target))
	}
	directory, base, err := t.locate(name)
	if err != nil {
		return err
	}
	if base == "" {
		return refuse("the root of the file system is not a directory")
	}
	existing, found := directory.entries[base]
	if found && existing.node == node {
		return nil // it has that name already
	}
	if node.Links >= maxLinks {
		return refuse("%s has more than %d names", quote(target), maxLinks)
	}
	node.Links++
	if found {
		t.drop(existing.node)
	}
	directory.entries[base] = entry{node, t.layer}
	return nil
}

// count counts an entry.
func (t *Tree) count() error {
	if t.entries++; t.entries > t.limits.Entries {
		return refuse("the image has more than %d files, which is the limit", t.limits.Entries)
	}
	return nil
}

// drop takes a name from a node, and from all below it.
func (t *Tree) drop(node *Node) {
	if node.Links--; node.Links > 0 {
		return
	}
	if len(node.Extents) > 0 {
		t.release(node.Extents)
	}
	for _, name := range node.Names() {
		t.drop(node.entries[name].node)
	}
}

func sortedNames(entries map[string]entry) []string {
	return slices.Sorted(maps.Keys(entries))
}

// quote makes a hostile name fit for a message.
func quote(name string) string {
	const longest = 100
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	return fmt.Sprintf("%q", name)
}
