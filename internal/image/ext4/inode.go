package ext4

import (
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// inode encodes a node, after what it keeps in blocks of its own was written.
func (w *Writer) inode(node *filetree.Node) ([]byte, error) {
	raw := make([]byte, inodeBytes)
	seed := checksum(w.super.seed, bytes32(node.Inode), bytes32(0)) // the generation is 0
	attributes(raw, node)
	blocks, err := w.content(raw, node, seed)
	if err != nil {
		return nil, err
	}
	block, err := w.writeXattrs(raw, node.Xattrs)
	if err != nil {
		return nil, err
	}
	if block != 0 {
		blocks++
	}
	sectors := uint64(blocks) * (blockBytes / 512)
	little.PutUint32(raw[0x1c:], uint32(sectors))
	little.PutUint16(raw[0x74:], uint16(sectors>>32))
	sum := checksum(seed, raw)
	little.PutUint16(raw[0x7c:], uint16(sum))
	little.PutUint16(raw[0x82:], uint16(sum>>16))
	return raw, nil
}

// attributes encodes mode, owner and times.
func attributes(raw []byte, node *filetree.Node) {
	little.PutUint16(raw[0x00:], uint16(node.Mode))
	little.PutUint16(raw[0x02:], uint16(node.UID))
	little.PutUint16(raw[0x78:], uint16(node.UID>>16))
	little.PutUint16(raw[0x18:], uint16(node.GID))
	little.PutUint16(raw[0x7a:], uint16(node.GID>>16))
	little.PutUint16(raw[0x80:], inodeExtra)
	// Times have 34 bits of seconds since 1901: the high two are what is to be added to the
	// low 32, which are signed.
	high := uint32((node.Seconds - int64(int32(node.Seconds))) >> 32)
	extra := node.Nanoseconds<<2 | high&3
	for _, offsets := range [][2]int{{0x08, 0x8c}, {0x0c, 0x84}, {0x10, 0x88}, {0x90, 0x94}} {
		little.PutUint32(raw[offsets[0]:], uint32(node.Seconds))
		little.PutUint32(raw[offsets[1]:], extra)
	}
	links := node.Links
	if node.IsDir() {
		links = directoryLinks(node)
	}
	little.PutUint16(raw[0x1a:], uint16(links))
}

// directoryLinks counts a directory's own name, its "." and the ".." of those in it; 1
// stands for more than fit (dir_nlink).
func directoryLinks(node *filetree.Node) uint32 {
	const most = 65000
	links := uint32(2)
	for _, name := range node.Names() {
		if node.Child(name).IsDir() {
			links++
		}
	}
	if links >= most {
		return 1
	}
	return links
}

// content writes what a node holds and returns how many blocks that takes.
func (w *Writer) content(raw []byte, node *filetree.Node, seed uint32) (blocks uint32, err error) {
	root := raw[0x28:0x64]
	switch node.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return w.blockContent(raw, encodeDirectory(node, seed), seed)
	case unix.S_IFREG:
		setSize(raw, node.Size)
		setFlags(raw, flagExtents)
		return w.writeExtents(root, node.Extents, seed)
	case unix.S_IFLNK:
		if len(node.Target) < len(root) {
			setSize(raw, int64(len(node.Target)))
			copy(root, node.Target)
			return 0, nil
		}
		blocks, err := w.blockContent(raw, []byte(node.Target), seed)
		setSize(raw, int64(len(node.Target)))
		return blocks, err
	case unix.S_IFCHR, unix.S_IFBLK:
		putDevice(root, node.Major, node.Minor)
	}
	return 0, nil
}

// blockContent writes content that the tree does not keep on disk.
func (w *Writer) blockContent(raw, content []byte, seed uint32) (blocks uint32, err error) {
	setSize(raw, int64(len(content)))
	setFlags(raw, flagExtents)
	extents, err := w.writeData(nil, 0, content)
	if err != nil {
		return 0, err
	}
	return w.writeExtents(raw[0x28:0x64], extents, seed)
}

func setSize(raw []byte, size int64) {
	little.PutUint32(raw[0x04:], uint32(size))
	little.PutUint32(raw[0x6c:], uint32(size>>32))
}

func setFlags(raw []byte, flags uint32) { little.PutUint32(raw[0x20:], flags) }

// putDevice writes a device's numbers: the old form where they fit into it, else the new.
func putDevice(root []byte, major, minor uint32) {
	if major < 256 && minor < 256 {
		little.PutUint32(root, major<<8|minor)
		return
	}
	little.PutUint32(root[4:], minor&0xff|major<<8|(minor&^0xff)<<12)
}
