package erofs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// Extend returns a writer that goes on after an image's last content, and the image's tree.
// Contents stay where they are: an image and a reflink of it that was extended share them.
// The file is no image until Finish.
func Extend(file *os.File, options Options, limits filetree.Limits) (*Writer, *filetree.Tree, error) {
	image, err := Open(file)
	if err != nil {
		return nil, nil, err
	}
	options.UUID = image.uuid
	w := New(file, options)
	tree := filetree.New(limits, w.Free)
	if err := image.Walk(func(found File) error { return w.keep(tree, found) }); err != nil {
		return nil, nil, fmt.Errorf("read an image: %w", err)
	}
	// Behind the contents are inodes and directories, which are written anew.
	w.next = image.inodeBlock
	if err := file.Truncate(int64(image.inodeBlock) * blockBytes); err != nil {
		return nil, nil, fmt.Errorf("extend an image: %w", err)
	}
	return w, tree, nil
}

// keep puts a file of the image into the tree.
func (w *Writer) keep(tree *filetree.Tree, found File) (err error) {
	if found.Same != "" {
		return tree.Link(found.Name, found.Same)
	}
	node := found.Node
	if node.IsRegular() {
		if node.Extents, err = w.extentsOf(found); err != nil {
			return err
		}
		for _, extent := range node.Extents {
			w.written += int64(extent.Count) * blockBytes
		}
	}
	return tree.Put(found.Name, node)
}

// extentsOf finds what of a file's content is not a hole.
func (w *Writer) extentsOf(found File) ([]filetree.Extent, error) {
	var extents []filetree.Extent
	begin := int64(found.Block) * blockBytes
	end := begin + blocks(found.Node.Size)*blockBytes
	for at := begin; at < end; {
		data, err := unix.Seek(int(w.file.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && data >= end {
			return extents, nil // holes up to the file's end
		}
		if err != nil {
			return nil, fmt.Errorf("look for holes: %w", err)
		}
		hole, err := unix.Seek(int(w.file.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return nil, fmt.Errorf("look for holes: %w", err)
		}
		first := (data - begin) / blockBytes
		past := blocks(min(hole, end) - begin)
		extents = appendExtent(extents, filetree.Extent{
			First: uint32(first), Block: found.Block + uint32(first), Count: uint32(past - first),
		})
		at = begin + past*blockBytes
	}
	return extents, nil
}
