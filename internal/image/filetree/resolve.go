package filetree

import "strings"

// split returns a path's names. Absolute paths begin at the root.
func split(path string) ([]string, error) {
	if len(path) > maxPath {
		return nil, refuse("%s: a path is longer than %d bytes", quote(path), maxPath)
	}
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		switch {
		case name == "" || name == ".":
		case name == "..":
			return nil, refuse("%s leads out of its directory", quote(path))
		case len(name) > maxName:
			return nil, refuse("%s: a name is longer than %d bytes", quote(name), maxName)
		case strings.ContainsRune(name, 0):
			return nil, refuse("%s: a name has a zero byte", quote(name))
		default:
			names = append(names, name)
		}
	}
	return names, nil
}

// locate returns the directory that a path's last name is in, and makes those that are
// missing. The base is empty for the root. Symbolic links on the way are followed within
// the tree; the last name is not.
func (t *Tree) locate(path string) (directory *Node, base string, err error) {
	names, err := split(path)
	if err != nil || len(names) == 0 {
		return t.root, "", err
	}
	last := len(names) - 1
	directory, err = t.walk(path, names[:last], true)
	return directory, names[last], err
}

// find is locate for what is to be removed: it makes nothing, and returns nil where a
// directory is missing or is something else.
func (t *Tree) find(path string) (directory *Node, base string, err error) {
	names, err := split(path)
	if err != nil || len(names) == 0 {
		return t.root, "", err
	}
	last := len(names) - 1
	directory, err = t.walk(path, names[:last], false)
	return directory, names[last], err
}

// walk goes from the root through directories and symbolic links to directories.
func (t *Tree) walk(path string, names []string, create bool) (*Node, error) {
	at, links := t.root, 0
	// The next name is the last of the list.
	pending := reversed(names)
	for len(pending) > 0 {
		name := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		switch name {
		case "", ".":
			continue
		case "..": // of a symbolic link's target
			at = at.parent
			continue
		}
		next := at.entries[name].node
		switch {
		case next == nil && !create:
			return nil, nil
		case next == nil:
			made, err := t.makeDirectory(at, name)
			if err != nil {
				return nil, err
			}
			at = made
		case next.IsDir():
			at = next
		case next.IsSymlink():
			if links++; links > maxSymlinks {
				return nil, refuse("%s leads through more than %d symbolic links, or through a loop of them", quote(path), maxSymlinks)
			}
			if strings.HasPrefix(next.Target, "/") {
				at = t.root
			}
			pending = append(pending, reversed(strings.Split(next.Target, "/"))...)
		case !create:
			return nil, nil
		default:
			return nil, refuse("%s: %s is not a directory", quote(path), quote(name))
		}
	}
	return at, nil
}

func (t *Tree) makeDirectory(at *Node, name string) (*Node, error) {
	if len(name) > maxName {
		return nil, refuse("%s: a name is longer than %d bytes", quote(name), maxName)
	}
	if err := t.count(); err != nil {
		return nil, err
	}
	made := newDirectory()
	if err := made.enter(at, name); err != nil {
		return nil, err
	}
	at.entries[name] = entry{made, t.layer}
	return made, nil
}

func reversed(names []string) []string {
	turned := make([]string, len(names))
	for i, name := range names {
		turned[len(names)-1-i] = name
	}
	return turned
}
