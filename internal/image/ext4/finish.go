package ext4

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// ErrInodes is returned when the file system has fewer inodes than the tree has files.
var ErrInodes = errors.New("the file system has no more inodes")

// Usage is what a finished file system holds.
type Usage struct {
	Inodes uint32
	// FreeBytes is what is left.
	FreeBytes uint64
	// LargeDirectory says whether a directory has more than one block, and no index.
	LargeDirectory bool
}

const lostAndFound = "lost+found"

// Finish writes the tree, whose contents Write stored, and makes the file system whole.
// It adds /lost+found, which e2fsck wants, where the tree has nothing of that name.
func (w *Writer) Finish(tree *filetree.Tree) (Usage, error) {
	if tree.Root().Child(lostAndFound) == nil {
		node := &filetree.Node{Mode: unix.S_IFDIR | 0o700, Seconds: tree.Root().Seconds}
		if err := tree.Put(lostAndFound, node); err != nil {
			return Usage{}, err
		}
	}
	nodes, err := w.number(tree.Root())
	if err != nil {
		return Usage{}, err
	}
	var usage Usage
	for _, node := range nodes {
		raw, err := w.inode(node)
		if err != nil {
			return Usage{}, err
		}
		usage.LargeDirectory = usage.LargeDirectory || node.IsDir() && little.Uint32(raw[0x04:]) > blockBytes
		if err := w.tables.put(node, raw); err != nil {
			return Usage{}, fmt.Errorf("write inodes: %w", err)
		}
	}
	if err := errors.Join(w.flush(), w.tables.flush()); err != nil {
		return Usage{}, fmt.Errorf("write inodes: %w", err)
	}
	if err := w.writeGroups(); err != nil {
		return Usage{}, fmt.Errorf("write bitmaps: %w", err)
	}
	if err := w.super.write(w.file, uint64(w.blocks.free), w.super.inodes-(w.nextInode-1)); err != nil {
		return Usage{}, fmt.Errorf("write superblock: %w", err)
	}
	if err := errors.Join(w.blocks.punch(w.file), w.punchJournal()); err != nil {
		return Usage{}, fmt.Errorf("free blocks: %w", err)
	}
	usage.Inodes, usage.FreeBytes = w.nextInode-1, uint64(w.blocks.free)*blockBytes
	return usage, nil
}

// punchJournal makes a hole of the journal but for its first block, as it is empty: mke2fs
// has written zeros.
func (w *Writer) punchJournal() error {
	inode := make([]byte, inodeBytes)
	if _, err := w.file.ReadAt(inode, int64(w.groups[0].inodeTable())*blockBytes+(journalInode-1)*inodeBytes); err != nil {
		return err
	}
	extents, err := inlineExtents(inode)
	if err != nil {
		return nil //nolint:nilerr // a journal of more extents than fit into its inode stays as it is
	}
	for i, extent := range extents {
		if i == 0 {
			extent.Block, extent.Count = extent.Block+1, extent.Count-1
		}
		if err := punchHole(w.file, int64(extent.Block)*blockBytes, int64(extent.Count)*blockBytes); err != nil && extent.Count > 0 {
			return err
		}
	}
	return nil
}

// number gives all nodes inodes and returns the nodes in the order of those. Entries of
// one directory have inodes in a row, but for hard links to others.
func (w *Writer) number(root *filetree.Node) ([]*filetree.Node, error) {
	root.Inode = rootInode
	nodes := []*filetree.Node{root}
	for i := 0; i < len(nodes); i++ {
		for _, name := range nodes[i].Names() {
			child := nodes[i].Child(name)
			if child.Inode != 0 {
				continue
			}
			if w.nextInode > w.super.inodes {
				return nil, ErrInodes
			}
			child.Inode = w.nextInode
			w.nextInode++
			nodes = append(nodes, child)
		}
	}
	return nodes, nil
}

// tables writes inodes, in order, a group's table at a time.
type tables struct {
	writer  *Writer
	content []byte // the inodes of the group so far
	group   uint32
	begun   bool
	// directories is how many of them each group has.
	directories []uint32
}

func (t *tables) put(node *filetree.Node, raw []byte) error {
	if !t.begun {
		if err := t.begin(); err != nil {
			return err
		}
	}
	perGroup := t.writer.super.inodesPerGroup
	group, index := (node.Inode-1)/perGroup, (node.Inode-1)%perGroup
	if node.IsDir() {
		t.directories[group]++
	}
	if group != t.group {
		if err := t.flush(); err != nil {
			return err
		}
		t.group, t.content = group, t.content[:0]
	}
	if node.Inode == rootInode {
		copy(t.content[index*inodeBytes:], raw)
		return nil
	}
	t.content = append(t.content, raw...)
	return nil
}

// begin takes over the inodes that mke2fs has made.
func (t *tables) begin() error {
	t.begun = true
	t.content = make([]byte, (firstInode-1)*inodeBytes)
	_, err := t.writer.file.ReadAt(t.content, int64(t.writer.groups[0].inodeTable())*blockBytes)
	return err
}

// flush writes the inodes of the current group.
func (t *tables) flush() error {
	_, err := t.writer.file.WriteAt(t.content, int64(t.writer.groups[t.group].inodeTable())*blockBytes)
	return err
}

// writeGroups writes bitmaps and descriptors.
func (w *Writer) writeGroups() error {
	for number, g := range w.groups {
		if err := w.writeBlockBitmap(uint32(number), g); err != nil {
			return err
		}
		if err := w.writeInodeBitmap(uint32(number), g); err != nil {
			return err
		}
		g.setChecksum(w.super.seed, uint32(number))
	}
	_, err := w.file.WriteAt(w.raw, blockBytes)
	return err
}

// writeBlockBitmap leaves a group as it is that nothing was written to: the kernel knows
// what is in use there.
func (w *Writer) writeBlockBitmap(number uint32, g group) error {
	perGroup := w.super.blocksPerGroup / 8
	part := w.blocks.used[number*perGroup:][:perGroup]
	touched := w.blocks.written[number*perGroup:][:perGroup].count() > 0
	if g.has(blocksUninitialised) && !touched {
		return nil
	}
	g.setBlockBitmap(checksum(w.super.seed, part), w.super.blocksPerGroup-part.count())
	_, err := w.file.WriteAt(part, int64(g.blockBitmap())*blockBytes)
	return err
}

func (w *Writer) writeInodeBitmap(number uint32, g group) error {
	perGroup := w.super.inodesPerGroup
	first := number * perGroup // inodes count from 1
	if w.nextInode-1 <= first {
		return nil
	}
	used := min(w.nextInode-1-first, perGroup)
	bits := make(bitmap, blockBytes)
	for i := range used {
		bits.set(i)
	}
	for i := perGroup; i < 8*blockBytes; i++ {
		bits.set(i) // there are no such inodes
	}
	sum := checksum(w.super.seed, bits[:perGroup/8])
	g.setInodeBitmap(sum, perGroup-used, perGroup-used, w.tables.directories[number])
	_, err := w.file.WriteAt(bits, int64(g.inodeBitmap())*blockBytes)
	return err
}
