package erofs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
	"git.omukk.dev/wrenn/sandbox/internal/image/holes"
)

// ErrFull says that the files are larger than the image may be.
var ErrFull = errors.New("the file system is full")

// Options are what an image is besides its files.
type Options struct {
	// UUID is the file system's. The same files in the same order and UUID give the same
	// image, byte for byte.
	UUID uuid.UUID
	// MostBytes is how much the image may take, without its holes.
	MostBytes int64
}

// bufferBytes is how much is read and written at once.
const bufferBytes = 1 << 20

// Writer fills an image. It is used by one goroutine: first contents are written, then the
// tree that refers to them.
type Writer struct {
	file    *os.File
	options Options
	buffer  []byte
	next    uint32 // the first block that is not used
	written int64  // bytes that are not holes
}

// New returns a writer of an empty file.
func New(file *os.File, options Options) *Writer {
	return &Writer{file: file, options: options, buffer: make([]byte, bufferBytes), next: 1}
}

// Write stores a file's content of size bytes in one run of blocks, and leaves holes where it
// has long runs of zeros. It returns ErrFull, errors of content, and io.ErrUnexpectedEOF for
// one that is too short.
func (w *Writer) Write(content io.Reader, size int64) ([]filetree.Extent, error) {
	base := w.next
	var extents []filetree.Extent
	for done := int64(0); done < size; {
		part := w.buffer[:min(size-done, bufferBytes)]
		_, err := io.ReadFull(content, part)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			extents, err = w.writePart(extents, base, done, part)
		}
		if err != nil {
			w.Free(extents)
			return nil, err
		}
		done += int64(len(part))
	}
	// A content of zeros alone has no extent, and no addresses of its own.
	if len(extents) > 0 {
		if _, err := w.allocate(blocks(size)); err != nil {
			w.Free(extents)
			return nil, err
		}
	}
	return extents, nil
}

// blocks is how many blocks hold size bytes.
func blocks(size int64) int64 { return (size + blockBytes - 1) / blockBytes }

// allocate takes the next blocks and returns the first.
func (w *Writer) allocate(count int64) (first uint32, err error) {
	if count > math.MaxUint32-int64(w.next) {
		return 0, ErrFull
	}
	first = w.next
	w.next += uint32(count)
	return first, nil
}

// writePart writes a part of the content whose first block is base, without its zeros.
func (w *Writer) writePart(extents []filetree.Extent, base uint32, offset int64, part []byte) ([]filetree.Extent, error) {
	for len(part) > 0 {
		zeros, data := holes.Split(part)
		offset, part = offset+int64(zeros), part[zeros:]
		if data == 0 {
			continue
		}
		first := offset / blockBytes
		if int64(base)+first+blocks(int64(data)) > math.MaxUint32 {
			return extents, ErrFull
		}
		next := filetree.Extent{First: uint32(first), Block: base + uint32(first), Count: uint32(blocks(int64(data)))}
		if err := w.take(int64(next.Count) * blockBytes); err != nil {
			return extents, err
		}
		extents = appendExtent(extents, next)
		if _, err := w.file.WriteAt(part[:data], int64(next.Block)*blockBytes); err != nil {
			return extents, err
		}
		offset, part = offset+int64(data), part[data:]
	}
	return extents, nil
}

func appendExtent(extents []filetree.Extent, next filetree.Extent) []filetree.Extent {
	if last := len(extents) - 1; last >= 0 && extents[last].First+extents[last].Count == next.First {
		extents[last].Count += next.Count
		return extents
	}
	return append(extents, next)
}

// take counts bytes that are to be written.
func (w *Writer) take(size int64) error {
	if size > w.options.MostBytes-w.written {
		return ErrFull
	}
	w.written += size
	return nil
}

// Free makes holes of contents that are not in the tree. Their addresses are not used
// again.
func (w *Writer) Free(extents []filetree.Extent) {
	for _, extent := range extents {
		w.next = max(w.next, extent.Block+extent.Count)
		w.written -= int64(extent.Count) * blockBytes
		// Where the file system cannot punch holes, the image takes more room than it needs.
		_ = unix.Fallocate(int(w.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE,
			int64(extent.Block)*blockBytes, int64(extent.Count)*blockBytes)
	}
}

// Usage is what a finished image holds.
type Usage struct {
	Inodes uint64
	// Bytes is what it takes, without its holes.
	Bytes int64
}

// Finish writes the tree, whose contents Write has stored, and the superblock.
func (w *Writer) Finish(tree *filetree.Tree) (Usage, error) {
	plan, err := w.lay(tree.Root())
	if err != nil {
		return Usage{}, err
	}
	if err := plan.write(w.file); err != nil {
		return Usage{}, fmt.Errorf("write inodes: %w", err)
	}
	root := tree.Root()
	block := superblock{
		root: uint16(root.Inode), inodes: uint64(len(plan.nodes)), seconds: uint64(root.Seconds),
		blocks: w.next, inodeBlock: plan.inodeBlock, uuid: w.options.UUID,
	}
	if err := w.take(blockBytes); err != nil {
		return Usage{}, err
	}
	if _, err := w.file.WriteAt(block.encode(), 0); err != nil {
		return Usage{}, fmt.Errorf("write superblock: %w", err)
	}
	// The image may end with a hole.
	if err := w.file.Truncate(int64(w.next) * blockBytes); err != nil {
		return Usage{}, fmt.Errorf("set the image's size: %w", err)
	}
	return Usage{Inodes: uint64(len(plan.nodes)), Bytes: w.written}, nil
}
