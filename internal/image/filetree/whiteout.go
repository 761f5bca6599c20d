package filetree

import (
	"path"
	"strings"
)

// Names of whiteouts.
// Source: the OCI image specification, "Image Layer Filesystem Changeset".
const (
	whiteoutPrefix = ".wh."
	// opaqueName removes what earlier layers have in its directory.
	opaqueName = ".wh..wh..opq"
	// metadataPrefix begins the names of AUFS's own files, which no image's content has.
	metadataPrefix = ".wh..wh."
)

// IsWhiteout says whether a path is not a file but a note that files are removed.
func IsWhiteout(name string) bool {
	return strings.HasPrefix(path.Base(path.Clean("/"+name)), whiteoutPrefix)
}

// Whiteout applies a note: what it names goes, as far as it is of earlier layers.
func (t *Tree) Whiteout(name string) error {
	if err := t.count(); err != nil {
		return err
	}
	directory, base, err := t.find(name)
	if err != nil || directory == nil {
		return err
	}
	switch {
	case base == opaqueName:
		t.clear(directory)
	case strings.HasPrefix(base, metadataPrefix):
	default:
		removed := strings.TrimPrefix(base, whiteoutPrefix)
		if removed == "" || removed == "." || removed == ".." {
			return refuse("%s removes nothing that can be named", quote(name))
		}
		t.removeEarlier(directory, removed)
	}
	return nil
}

// Remove removes a name of an earlier layer, with all that is below it.
func (t *Tree) Remove(name string) error {
	if err := t.count(); err != nil {
		return err
	}
	directory, base, err := t.find(name)
	if err != nil || directory == nil || base == "" {
		return err
	}
	t.removeEarlier(directory, base)
	return nil
}

// Clear removes what earlier layers have in a directory.
func (t *Tree) Clear(name string) error {
	directory, base, err := t.find(name)
	if err != nil || directory == nil {
		return err
	}
	if base != "" {
		directory = directory.Child(base)
	}
	if directory != nil && directory.IsDir() {
		t.clear(directory)
	}
	return nil
}

// clear removes a directory's entries of earlier layers.
func (t *Tree) clear(directory *Node) {
	for _, name := range directory.Names() {
		t.removeEarlier(directory, name)
	}
}

// removeEarlier removes an entry of an earlier layer. Of a directory in which this layer
// has written, that stays.
func (t *Tree) removeEarlier(directory *Node, name string) {
	found, ok := directory.entries[name]
	if !ok {
		return
	}
	if found.node.IsDir() {
		t.clear(found.node)
		if len(found.node.entries) > 0 {
			return
		}
	}
	if found.layer == t.layer {
		return
	}
	delete(directory.entries, name)
	t.drop(found.node)
}
