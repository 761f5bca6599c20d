package ext4

import (
	"errors"
	"fmt"
	"io"
	"os"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
	"git.omukk.dev/wrenn/sandbox/internal/image/holes"
)

// bufferBytes is how much is read, and written, at a time.
const bufferBytes = 1 << 20

// Writer fills an empty file system. After an error it is of no more use. It is not safe
// for concurrent use.
type Writer struct {
	file   *os.File
	super  *super
	groups []group
	raw    []byte // of all group descriptors
	blocks *blocks
	buffer []byte
	// pending is what is to be written from pendingAt on, in bytes.
	pending   []byte
	pendingAt int64

	nextInode uint32
	tables    tables
}

// Open returns a writer for a file in which mke2fs has made a file system with Features
// and blocks of 4096 bytes. Nothing else may have been written to it.
func Open(file *os.File) (*Writer, error) {
	s, err := readSuper(file)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: file, super: s, raw: make([]byte, s.groups*descriptorBytes), nextInode: firstInode}
	if _, err := file.ReadAt(w.raw, blockBytes); err != nil {
		return nil, fmt.Errorf("read group descriptors: %w", err)
	}
	for number := range s.groups {
		w.groups = append(w.groups, group(w.raw[number*descriptorBytes:][:descriptorBytes]))
	}
	if w.blocks, err = newBlocks(file, s, w.groups); err != nil {
		return nil, fmt.Errorf("read bitmaps: %w", err)
	}
	w.tables = tables{writer: w, directories: make([]uint32, s.groups)}
	if err := w.emptyRoot(); err != nil {
		return nil, err
	}
	w.buffer = make([]byte, bufferBytes)
	return w, nil
}

// emptyRoot gives back the blocks of the root directory and of lost+found, which Finish
// writes again.
func (w *Writer) emptyRoot() error {
	for _, number := range []uint32{rootInode, firstInode} {
		inode := make([]byte, inodeBytes)
		offset := int64(w.groups[0].inodeTable())*blockBytes + int64(number-1)*inodeBytes
		if _, err := w.file.ReadAt(inode, offset); err != nil {
			return fmt.Errorf("read inode %d: %w", number, err)
		}
		extents, err := inlineExtents(inode)
		if err != nil {
			return err
		}
		for _, extent := range extents {
			for i := range extent.Count {
				w.blocks.written.set(extent.Block + i)
			}
		}
		w.Free(extents)
	}
	return nil
}

// Write stores a file's content, of size bytes, and leaves holes where it has long runs of
// zeros. It returns ErrFull, errors of content, and io.ErrUnexpectedEOF for one that is too
// short.
func (w *Writer) Write(content io.Reader, size int64) ([]filetree.Extent, error) {
	var extents []filetree.Extent
	for done := int64(0); done < size; {
		part := w.buffer[:min(size-done, int64(len(w.buffer)))]
		if _, err := io.ReadFull(content, part); err != nil {
			w.Free(extents)
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		var err error
		if extents, err = w.writePart(extents, uint32(done/blockBytes), part); err != nil {
			w.Free(extents)
			return nil, err
		}
		done += int64(len(part))
	}
	return extents, nil
}

// writePart writes a part of a file that begins at a block, without its zeros.
func (w *Writer) writePart(extents []filetree.Extent, first uint32, part []byte) ([]filetree.Extent, error) {
	for len(part) > 0 {
		zeros, data := holes.Split(part)
		first += uint32(zeros / blockBytes)
		part = part[zeros:]
		var err error
		if extents, err = w.writeData(extents, first, part[:data]); err != nil {
			return extents, err
		}
		first += uint32((data + blockBytes - 1) / blockBytes)
		part = part[data:]
	}
	return extents, nil
}

// writeData writes data at a file's block, and fills the last block with zeros.
func (w *Writer) writeData(extents []filetree.Extent, first uint32, data []byte) ([]filetree.Extent, error) {
	for len(data) > 0 {
		block, count, err := w.blocks.allocate(uint32((len(data) + blockBytes - 1) / blockBytes))
		if err != nil {
			return extents, err
		}
		extents = appendExtent(extents, filetree.Extent{First: first, Block: block, Count: count})
		size := min(len(data), int(count)*blockBytes)
		if err := w.writeBlocks(block, data[:size]); err != nil {
			return extents, err
		}
		first += count
		data = data[size:]
	}
	return extents, nil
}

// writeBlocks writes data to blocks, and zeros to the rest of the last one, which may have
// held something. Blocks in a row are collected: most files are smaller than a write
// should be.
func (w *Writer) writeBlocks(block uint32, data []byte) error {
	offset := int64(block) * blockBytes
	if offset != w.pendingAt+int64(len(w.pending)) || len(w.pending)+len(data) > bufferBytes {
		if err := w.flush(); err != nil {
			return err
		}
		w.pendingAt = offset
	}
	w.pending = append(w.pending, data...)
	if rest := len(data) % blockBytes; rest != 0 {
		w.pending = append(w.pending, make([]byte, blockBytes-rest)...)
	}
	return nil
}

// flush writes the blocks that were collected.
func (w *Writer) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	_, err := w.file.WriteAt(w.pending, w.pendingAt)
	w.pending = w.pending[:0]
	return err
}

// maxExtent is how many blocks an extent may have.
const maxExtent = 1 << 15

// appendExtent adds an extent, to the last one if it goes on from there.
func appendExtent(extents []filetree.Extent, next filetree.Extent) []filetree.Extent {
	if len(extents) > 0 {
		last := &extents[len(extents)-1]
		if last.First+last.Count == next.First && last.Block+last.Count == next.Block && last.Count+next.Count <= maxExtent {
			last.Count += next.Count
			return extents
		}
	}
	return append(extents, next)
}

// Free gives a content's blocks back.
func (w *Writer) Free(extents []filetree.Extent) {
	for _, extent := range extents {
		w.blocks.release(extent.Block, extent.Count)
	}
}
