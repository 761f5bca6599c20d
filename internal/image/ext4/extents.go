package ext4

import (
	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// Numbers of extent trees.
const (
	extentMagic    = 0xf30a
	extentBytes    = 12 // of a header, an extent, and an index alike
	inlineCount    = 4  // in an inode
	perExtentBlock = (blockBytes - extentBytes) / extentBytes
	// extentTail is where a block of extents has its checksum.
	extentTail = extentBytes * (1 + perExtentBlock)
)

// inlineExtents reads the extents of an inode that has no blocks of extents.
func inlineExtents(inode []byte) ([]filetree.Extent, error) {
	root := inode[0x28:0x64]
	count := int(little.Uint16(root[2:]))
	if little.Uint16(root) != extentMagic || little.Uint16(root[6:]) != 0 || count > inlineCount {
		return nil, errFormat
	}
	var extents []filetree.Extent
	for i := range count {
		one := root[extentBytes*(1+i):]
		extents = append(extents, filetree.Extent{
			First: little.Uint32(one), Count: uint32(little.Uint16(one[4:])), Block: little.Uint32(one[8:]),
		})
	}
	return extents, nil
}

func putHeader(target []byte, count, most, depth int) {
	little.PutUint16(target[0:], extentMagic)
	little.PutUint16(target[2:], uint16(count))
	little.PutUint16(target[4:], uint16(most))
	little.PutUint16(target[6:], uint16(depth))
}

// node is an extent, or the index of a block of extents, encoded.
type node struct {
	first   uint32
	encoded [extentBytes]byte
}

// writeExtents writes a file's extents into root, the 60 bytes of an inode, and into as
// many blocks as that takes. seed is of the inode's checksums.
func (w *Writer) writeExtents(root []byte, extents []filetree.Extent, seed uint32) (blocks uint32, err error) {
	nodes := make([]node, len(extents))
	for i, extent := range extents {
		nodes[i].first = extent.First
		little.PutUint32(nodes[i].encoded[0:], extent.First)
		little.PutUint16(nodes[i].encoded[4:], uint16(extent.Count))
		little.PutUint32(nodes[i].encoded[8:], extent.Block)
		blocks += extent.Count
	}
	depth := 0
	for ; len(nodes) > inlineCount; depth++ {
		var above []node
		for len(nodes) > 0 {
			count := min(len(nodes), perExtentBlock)
			block, err := w.writeExtentBlock(nodes[:count], depth, seed)
			if err != nil {
				return 0, err
			}
			index := node{first: nodes[0].first}
			little.PutUint32(index.encoded[0:], index.first)
			little.PutUint32(index.encoded[4:], block)
			above, nodes = append(above, index), nodes[count:]
			blocks++
		}
		nodes = above
	}
	putHeader(root, len(nodes), inlineCount, depth)
	for i, one := range nodes {
		copy(root[extentBytes*(1+i):], one.encoded[:])
	}
	return blocks, nil
}

func (w *Writer) writeExtentBlock(nodes []node, depth int, seed uint32) (block uint32, err error) {
	if block, _, err = w.blocks.allocate(1); err != nil {
		return 0, err
	}
	content := make([]byte, blockBytes)
	putHeader(content, len(nodes), perExtentBlock, depth)
	for i, one := range nodes {
		copy(content[extentBytes*(1+i):], one.encoded[:])
	}
	little.PutUint32(content[extentTail:], checksum(seed, content[:extentTail]))
	return block, w.writeBlocks(block, content)
}
