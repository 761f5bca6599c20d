package filesystem

import "path/filepath"

// directory is a watched directory. Its path is derived from its place in the tree, so that
// moving a subtree is one change.
type directory struct {
	watch    int32
	name     string
	parent   *directory // nil for the root
	children map[string]*directory
}

// path is the path of an entry of the directory, relative to the root.
func (d *directory) path(name string) string {
	for ; d.parent != nil; d = d.parent {
		name = filepath.Join(d.name, name)
	}
	return name
}

// isWithin reports whether the directory is another one or below it.
func (d *directory) isWithin(other *directory) bool {
	for ; d != nil; d = d.parent {
		if d == other {
			return true
		}
	}
	return false
}

// tree is the watched directories of one watch.
type tree struct {
	root    *directory
	byWatch map[int32]*directory
}

func newTree(watch int32) *tree {
	root := &directory{watch: watch}
	return &tree{root: root, byWatch: map[int32]*directory{watch: root}}
}

// put moves a directory to a parent, and returns the directory that it replaces.
func (t *tree) put(d, parent *directory, name string) (replaced *directory) {
	if d.parent != nil && d.parent.children[d.name] == d {
		delete(d.parent.children, d.name)
	}
	replaced = parent.children[name]
	if parent.children == nil {
		parent.children = make(map[string]*directory)
	}
	parent.children[name] = d
	d.parent, d.name = parent, name
	t.byWatch[d.watch] = d
	return replaced
}

// take removes a child, which keeps its path until it is put elsewhere.
func (t *tree) take(parent *directory, name string) *directory {
	child := parent.children[name]
	delete(parent.children, name)
	return child
}

// isAttached reports whether a directory is a child of its parent.
func (d *directory) isAttached() bool { return d.parent == nil || d.parent.children[d.name] == d }

// forget removes a subtree and returns the numbers of its watches.
func (t *tree) forget(branch *directory) []int32 {
	if branch.isAttached() && branch.parent != nil {
		delete(branch.parent.children, branch.name)
	}
	var watches []int32
	for left := []*directory{branch}; len(left) > 0; {
		last := left[len(left)-1]
		left = left[:len(left)-1]
		watches = append(watches, last.watch)
		delete(t.byWatch, last.watch)
		for _, child := range last.children {
			left = append(left, child)
		}
	}
	return watches
}
