package ext4

import (
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// Numbers of directories' blocks.
const (
	entryHeader   = 8
	entryTail     = 12 // the checksum, as an entry without a name
	entryTailType = 0xde
)

// Types of files in directories' entries, by the type of the mode.
var entryTypes = map[uint32]byte{
	unix.S_IFREG: 1, unix.S_IFDIR: 2, unix.S_IFCHR: 3, unix.S_IFBLK: 4, unix.S_IFIFO: 5, unix.S_IFSOCK: 6, unix.S_IFLNK: 7,
}

// directoryBlocks collects the entries of a directory.
type directoryBlocks struct {
	content []byte
	at      int // in the last block
	last    int // where the last entry begins in content
}

func (d *directoryBlocks) add(inode uint32, name string, mode uint32) {
	length := (entryHeader + len(name) + 3) &^ 3
	if len(d.content) == 0 || d.at+length > blockBytes-entryTail {
		d.endBlock()
		d.content = append(d.content, make([]byte, blockBytes)...)
		d.at = 0
	}
	d.last = len(d.content) - blockBytes + d.at
	entry := d.content[d.last:]
	little.PutUint32(entry, inode)
	little.PutUint16(entry[4:], uint16(length))
	entry[6], entry[7] = byte(len(name)), entryTypes[mode&unix.S_IFMT]
	copy(entry[entryHeader:], name)
	d.at += length
}

// endBlock stretches the last entry to the block's end.
func (d *directoryBlocks) endBlock() {
	if len(d.content) == 0 {
		return
	}
	rest := blockBytes - entryTail - d.at
	little.PutUint16(d.content[d.last+4:], little.Uint16(d.content[d.last+4:])+uint16(rest))
}

// finish returns all blocks with their checksums.
func (d *directoryBlocks) finish(seed uint32) []byte {
	d.endBlock()
	for first := 0; first < len(d.content); first += blockBytes {
		block := d.content[first:][:blockBytes]
		tail := block[blockBytes-entryTail:]
		little.PutUint16(tail[4:], entryTail)
		tail[7] = entryTailType
		little.PutUint32(tail[8:], checksum(seed, block[:blockBytes-entryTail]))
	}
	return d.content
}

// encodeDirectory returns a directory's blocks. Its entries have inodes.
func encodeDirectory(directory *filetree.Node, seed uint32) []byte {
	var blocks directoryBlocks
	blocks.add(directory.Inode, ".", directory.Mode)
	blocks.add(directory.Parent().Inode, "..", directory.Parent().Mode)
	for _, name := range directory.Names() {
		child := directory.Child(name)
		blocks.add(child.Inode, name, child.Mode)
	}
	return blocks.finish(seed)
}
