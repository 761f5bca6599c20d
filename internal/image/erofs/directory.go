package erofs

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// entry is a name in a directory.
type entry struct {
	name string
	node *filetree.Node
}

// entriesOf returns a directory's entries in the order of their bytes, in which readers
// search, with "." and "..".
func entriesOf(directory *filetree.Node) []entry {
	names := directory.Names()
	all := make([]entry, 0, len(names)+2)
	all = append(all, entry{".", directory}, entry{"..", directory.Parent()})
	for _, name := range names {
		all = append(all, entry{name, directory.Child(name)})
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all
}

// firstBlock returns those entries that fit into a directory's next block, and how many
// bytes they take.
func firstBlock(entries []entry) (block []entry, size int) {
	for i, one := range entries {
		next := size + entryBytes + len(one.name)
		if next > blockBytes {
			return entries[:i], size
		}
		size = next
	}
	return entries, size
}

// directorySize is how many bytes a directory's content has.
func directorySize(entries []entry) int64 {
	size := int64(0)
	for {
		block, used := firstBlock(entries)
		if entries = entries[len(block):]; len(entries) == 0 {
			return size + int64(used)
		}
		size += blockBytes
	}
}

// encodeDirectory makes a directory's content: in each block the entries, then their names.
// A name ends where the next begins, and the last one at a zero byte or the block's end.
func encodeDirectory(entries []entry) []byte {
	content := make([]byte, 0, blockBytes)
	for len(entries) > 0 {
		block, size := firstBlock(entries)
		entries = entries[len(block):]
		if len(entries) > 0 {
			size = blockBytes
		}
		encoded := make([]byte, size)
		name := entryBytes * len(block)
		for i, one := range block {
			raw := encoded[i*entryBytes:]
			little.PutUint64(raw[0:], uint64(one.node.Inode))
			little.PutUint16(raw[8:], uint16(name))
			raw[10] = entryTypes[one.node.Mode&unix.S_IFMT]
			name += copy(encoded[name:], one.name)
		}
		content = append(content, encoded...)
	}
	return content
}

// decodeDirectory calls visit for the entries of a directory's content, but for "." and
// "..".
func decodeDirectory(content []byte, visit func(name string, inode uint64) error) error {
	for len(content) > 0 {
		block := content[:min(len(content), blockBytes)]
		content = content[len(block):]
		if len(block) < entryBytes {
			return broken("a block of a directory has %d bytes", len(block))
		}
		first := int(little.Uint16(block[8:]))
		if first%entryBytes != 0 || first == 0 || first > len(block) {
			return broken("names of a directory begin at byte %d", first)
		}
		for at := 0; at < first; at += entryBytes {
			begin, end := int(little.Uint16(block[at+8:])), len(block)
			if at+entryBytes < first {
				end = int(little.Uint16(block[at+entryBytes+8:]))
			}
			if begin < first || end < begin || end > len(block) {
				return broken("a name of a directory is at bytes %d to %d", begin, end)
			}
			name, _, _ := bytes.Cut(block[begin:end], []byte{0})
			if string(name) == "." || string(name) == ".." {
				continue
			}
			if len(name) == 0 || bytes.ContainsRune(name, '/') {
				return broken("a directory has the name %q", name)
			}
			if err := visit(string(name), little.Uint64(block[at:])); err != nil {
				return err
			}
		}
	}
	return nil
}
