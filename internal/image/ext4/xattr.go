package ext4

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Numbers of extended attributes.
const (
	xattrMagic       = 0xea020000
	xattrEntryHeader = 16
	xattrBlockHeader = 32
	// inlineXattrs is what an inode has for them, behind their magic number.
	inlineXattrs = inodeBytes - 128 - inodeExtra - 4
)

// errXattrs is returned for attributes that fit neither into an inode nor into a block.
// Those who put files into a tree keep to less.
var errXattrs = errors.New("extended attributes of a file are larger than a block")

// xattr is an attribute; index stands for its name's beginning.
type xattr struct {
	index       byte
	name, value string
}

// sortXattrs returns attributes in the order that blocks have them in.
func sortXattrs(all map[string]string) []xattr {
	var sorted []xattr
	for _, name := range slices.Sorted(maps.Keys(all)) {
		one := xattr{name: name, value: all[name]}
		if rest, found := strings.CutPrefix(name, "user."); found {
			one.index, one.name = 1, rest
		} else if rest, found := strings.CutPrefix(name, "security."); found {
			one.index, one.name = 6, rest
		}
		sorted = append(sorted, one)
	}
	slices.SortStableFunc(sorted, func(a, b xattr) int {
		return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	return sorted
}

func rounded(length int) int { return (length + 3) &^ 3 }

// xattrBytes is what attributes take, with the end of their list.
func xattrBytes(all []xattr) int {
	total := 4
	for _, one := range all {
		total += xattrEntryHeader + rounded(len(one.name)) + rounded(len(one.value))
	}
	return total
}

// encodeXattrs writes entries from the beginning of target on, and values from its end.
// Offsets of values count from base bytes before target. It returns the hash of all.
func encodeXattrs(target []byte, base int, all []xattr) (hash uint32) {
	at, end := 0, len(target)
	for _, one := range all {
		end -= rounded(len(one.value))
		copy(target[end:], one.value)
		entry := target[at:]
		entry[0], entry[1] = byte(len(one.name)), one.index
		little.PutUint16(entry[2:], uint16(base+end))
		little.PutUint32(entry[8:], uint32(len(one.value)))
		sum := hashXattr(one)
		little.PutUint32(entry[12:], sum)
		copy(entry[xattrEntryHeader:], one.name)
		at += xattrEntryHeader + rounded(len(one.name))
		hash = hash<<16 ^ hash>>16 ^ sum
	}
	return hash
}

// hashXattr is by which the kernel finds equal blocks.
func hashXattr(one xattr) (hash uint32) {
	for i := range len(one.name) {
		hash = hash<<5 ^ hash>>27 ^ uint32(one.name[i])
	}
	value := append([]byte(one.value), make([]byte, rounded(len(one.value))-len(one.value))...)
	for ; len(value) > 0; value = value[4:] {
		hash = hash<<16 ^ hash>>16 ^ little.Uint32(value)
	}
	return hash
}

// writeXattrs writes attributes into an inode or, where they do not fit, into a block.
func (w *Writer) writeXattrs(inode []byte, all map[string]string) (block uint32, err error) {
	if len(all) == 0 {
		return 0, nil
	}
	sorted := sortXattrs(all)
	size := xattrBytes(sorted)
	if size <= inlineXattrs {
		area := inode[128+inodeExtra:]
		little.PutUint32(area, xattrMagic)
		encodeXattrs(area[4:], 0, sorted)
		return 0, nil
	}
	if size > blockBytes-xattrBlockHeader {
		return 0, errXattrs
	}
	if block, _, err = w.blocks.allocate(1); err != nil {
		return 0, err
	}
	content := make([]byte, blockBytes)
	little.PutUint32(content[0:], xattrMagic)
	little.PutUint32(content[4:], 1) // inodes that use it
	little.PutUint32(content[8:], 1) // blocks
	little.PutUint32(content[12:], encodeXattrs(content[xattrBlockHeader:], xattrBlockHeader, sorted))
	number := little.AppendUint64(nil, uint64(block))
	little.PutUint32(content[16:], checksum(w.super.seed, number, content))
	little.PutUint32(inode[0x68:], block)
	return block, w.writeBlocks(block, content)
}
