package erofs

import (
	"bufio"
	"errors"
	"io"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// plan is where inodes and directories go. Each node's Inode is its number.
type plan struct {
	nodes      []*filetree.Node
	inodeBlock uint32
	// blocks is where directories and links begin that have blocks of their own.
	blocks uint32
	// zeros is where the content of all files begins that consist of zeros.
	zeros uint32
}

// lay numbers the nodes in the order of the tree's levels, and takes their blocks.
func (w *Writer) lay(root *filetree.Node) (plan, error) {
	slot := uint64(firstSlot)
	place := func(node *filetree.Node, size int64) error {
		slot = fitInline(slot, size)
		if slot > math.MaxUint32 {
			return ErrFull
		}
		node.Inode = uint32(slot)
		slot += (inodeBytes + uint64(inlineBytes(size)) + inodeBytes - 1) / inodeBytes * (inodeBytes / slotBytes)
		return nil
	}
	p := plan{nodes: []*filetree.Node{root}}
	outside, zeros := int64(0), int64(0)
	if err := place(root, metaSize(root)); err != nil {
		return plan{}, err
	}
	for i := 0; i < len(p.nodes); i++ {
		for _, name := range p.nodes[i].Names() {
			child := p.nodes[i].Child(name)
			if child.Inode != 0 {
				continue // another name of a file
			}
			if err := place(child, metaSize(child)); err != nil {
				return plan{}, err
			}
			p.nodes = append(p.nodes, child)
		}
		outside += outsideBlocks(metaSize(p.nodes[i]))
		if len(p.nodes[i].Extents) == 0 {
			zeros = max(zeros, p.nodes[i].Size)
		}
	}
	// fsck.erofs reads on behind an inode, also behind the last one.
	inodes := int64(slot*slotBytes) + inodeBytes
	if err := w.take(inodes + outside*blockBytes); err != nil {
		return plan{}, err
	}
	var errs [3]error
	p.inodeBlock, errs[0] = w.allocate(blocks(inodes))
	p.blocks, errs[1] = w.allocate(outside)
	p.zeros, errs[2] = w.allocate(blocks(zeros))
	return p, errors.Join(errs[:]...)
}

// metaSize is how many bytes the writer has to store of a node besides its inode: of a
// directory or a symbolic link.
func metaSize(node *filetree.Node) int64 {
	switch {
	case node.IsDir():
		return directorySize(entriesOf(node))
	case node.IsSymlink():
		return int64(len(node.Target))
	default:
		return 0
	}
}

// inlineBytes is how much of a content is behind its inode: what is left after whole
// blocks, if it fits into a block with the inode.
func inlineBytes(size int64) int64 {
	if tail := size % blockBytes; tail <= blockBytes-inodeBytes {
		return tail
	}
	return 0
}

// outsideBlocks is how many blocks the rest has.
func outsideBlocks(size int64) int64 {
	return blocks(size - inlineBytes(size))
}

// fitInline returns the first slot for an inode from a slot on. An inode and what is behind
// it are in one block.
func fitInline(slot uint64, size int64) uint64 {
	const perBlock = blockBytes / slotBytes
	offset := slot % perBlock * slotBytes
	if offset+inodeBytes+uint64(inlineBytes(size)) > blockBytes {
		slot += perBlock - slot%perBlock
	}
	return slot
}

// write writes inodes and directories, each in one run through the file.
func (p plan) write(file *os.File) error {
	inodes := newRun(file, p.inodeBlock)
	outside := newRun(file, p.blocks)
	block := p.blocks
	for number, node := range p.nodes {
		content := metaContent(node)
		raw, count := p.inode(node, uint32(number+1), int64(len(content)), block)
		inline := inlineBytes(int64(len(content)))
		whole := int64(len(content)) - inline
		err := errors.Join(
			inodes.fillTo(int64(node.Inode)*slotBytes), inodes.put(raw), inodes.put(content[whole:]),
			outside.put(content[:whole]), outside.fillTo(int64(block-p.blocks+count)*blockBytes),
		)
		if err != nil {
			return err
		}
		block += count
	}
	return errors.Join(inodes.Flush(), outside.Flush())
}

func metaContent(node *filetree.Node) []byte {
	if node.IsDir() {
		return encodeDirectory(entriesOf(node))
	}
	return []byte(node.Target)
}

// run writes a part of the file from its beginning to its end.
type run struct {
	*bufio.Writer
	at int64
}

func newRun(file *os.File, block uint32) *run {
	return &run{Writer: bufio.NewWriterSize(io.NewOffsetWriter(file, int64(block)*blockBytes), bufferBytes)}
}

func (r *run) put(content []byte) error {
	n, err := r.Write(content)
	r.at += int64(n)
	return err
}

// fillTo writes zeros up to an offset.
func (r *run) fillTo(offset int64) error { return r.put(make([]byte, offset-r.at)) }

// inode returns a node's inode. block is the next one for a directory or a link, of which
// count are used.
func (p plan) inode(node *filetree.Node, number uint32, metaSize int64, block uint32) (raw []byte, count uint32) {
	raw = make([]byte, inodeBytes)
	format, size, where := uint16(formatPlain), metaSize, uint32(0)
	switch node.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		size, where = node.Size, p.zeros
		if len(node.Extents) > 0 {
			where = node.Extents[0].Block - node.Extents[0].First
		}
	case unix.S_IFDIR, unix.S_IFLNK:
		if inlineBytes(size) > 0 {
			format = formatInline
		}
		where, count = block, uint32(outsideBlocks(size))
	case unix.S_IFCHR, unix.S_IFBLK:
		where = device(node.Major, node.Minor)
	}
	links := node.Links
	if node.IsDir() {
		links = directoryLinks(node)
	}
	little.PutUint16(raw[0x00:], formatExtended|format)
	little.PutUint16(raw[0x04:], uint16(node.Mode))
	little.PutUint64(raw[0x08:], uint64(size))
	little.PutUint32(raw[0x10:], where)
	little.PutUint32(raw[0x14:], number)
	little.PutUint32(raw[0x18:], node.UID)
	little.PutUint32(raw[0x1c:], node.GID)
	little.PutUint64(raw[0x20:], uint64(node.Seconds))
	little.PutUint32(raw[0x28:], node.Nanoseconds)
	little.PutUint32(raw[0x2c:], links)
	return raw, count
}

// directoryLinks counts a directory's names: its own, ".", and ".." of each below it.
func directoryLinks(node *filetree.Node) uint32 {
	links := uint32(2)
	for _, name := range node.Names() {
		if node.Child(name).IsDir() {
			links++
		}
	}
	return links
}

// device encodes numbers as the kernel's new_encode_dev does.
func device(major, minor uint32) uint32 {
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}
