package erofs

import (
	"errors"
	"fmt"
	"io"
	"path"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/image/filetree"
)

// ErrFormat is returned for a file that is not an image as Writer makes it.
var ErrFormat = errors.New("the file is not an EROFS image of Wrenn's")

func broken(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, arguments...))
}

// Image is an image that Writer has made. Only what Writer writes is understood; whatever
// else the file holds is an error, and nothing is read outside of it.
type Image struct {
	file io.ReaderAt
	superblock
}

// Open reads an image's superblock.
func Open(file io.ReaderAt) (*Image, error) {
	block := make([]byte, blockBytes)
	if _, err := file.ReadAt(block, 0); err != nil {
		return nil, broken("read the superblock: %v", err)
	}
	read := decodeSuperblock(block)
	if string(read.encode()) != string(block) {
		return nil, broken("the superblock is another")
	}
	if read.inodeBlock == 0 || read.inodeBlock >= read.blocks {
		return nil, broken("inodes at block %d of %d", read.inodeBlock, read.blocks)
	}
	return &Image{file: file, superblock: read}, nil
}

// File is what Walk finds.
type File struct {
	// Name is the path below the root, without a slash at its beginning; "." is the root.
	Name string
	// Same is the name by which Walk has found the file before; empty for a file's first
	// name.
	Same string
	// Node is what the file is. A regular file's content is not in its Extents.
	Node *filetree.Node
	// Block is where a regular file's content begins.
	Block uint32
}

// Walk calls visit for the root and for all below it, directories before what they hold.
func (i *Image) Walk(visit func(File) error) error {
	walk := walk{image: i, visit: visit, names: make(map[uint64]string), directories: make(map[uint64]bool)}
	return walk.descend(".", uint64(i.root))
}

type walk struct {
	image *Image
	visit func(File) error
	// names are those of files with more than one name, directories what was walked, by
	// inode number.
	names       map[uint64]string
	directories map[uint64]bool
}

func (w *walk) descend(name string, number uint64) error {
	found, content, err := w.image.inode(number)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	found.Name = name
	if !found.Node.IsDir() {
		if found.Node.Links > 1 {
			found.Same = w.names[number]
			w.names[number] = name
		}
		return w.visit(found)
	}
	if w.directories[number] {
		return broken("%q is a directory with two names", name)
	}
	w.directories[number] = true
	if err := w.visit(found); err != nil {
		return err
	}
	return decodeDirectory(content, func(entry string, child uint64) error {
		return w.descend(path.Join(name, entry), child)
	})
}

// Content is a regular file's.
func (i *Image) Content(file File) *io.SectionReader {
	return io.NewSectionReader(i.file, int64(file.Block)*blockBytes, file.Node.Size)
}

// maxDirectoryBytes bounds the content of a directory: that of all names of a tree.
const maxDirectoryBytes = 1 << 30

// inode reads an inode, and the content of a directory.
func (i *Image) inode(number uint64) (File, []byte, error) {
	offset := int64(i.inodeBlock)*blockBytes + int64(number)*slotBytes
	if number > uint64(i.blocks-i.inodeBlock)*(blockBytes/slotBytes) {
		return File{}, nil, broken("inode %d is outside", number)
	}
	raw := make([]byte, inodeBytes)
	if _, err := i.file.ReadAt(raw, offset); err != nil {
		return File{}, nil, broken("read inode %d: %v", number, err)
	}
	node, format, where := decodeInode(raw)
	size := int64(little.Uint64(raw[0x08:]))
	if format != formatExtended|formatPlain && format != formatExtended|formatInline || little.Uint16(raw[0x02:]) != 0 {
		return File{}, nil, broken("inode %d has the format %#x", number, format)
	}
	if size < 0 || size > int64(i.blocks)*blockBytes {
		return File{}, nil, broken("inode %d has %d bytes", number, size)
	}
	switch node.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if format != formatExtended|formatPlain || int64(where)+blocks(size) > int64(i.blocks) {
			return File{}, nil, broken("the content of inode %d is outside", number)
		}
		node.Size = size
		return File{Node: node, Block: where}, nil, nil
	case unix.S_IFDIR, unix.S_IFLNK:
		content, err := i.metaContent(offset+inodeBytes, format, size, where)
		if err != nil {
			return File{}, nil, fmt.Errorf("inode %d: %w", number, err)
		}
		if node.IsSymlink() {
			node.Target, content = string(content), nil
		}
		return File{Node: node}, content, nil
	case unix.S_IFCHR, unix.S_IFBLK:
		node.Major, node.Minor = numbers(where)
	case unix.S_IFIFO, unix.S_IFSOCK:
	default:
		return File{}, nil, broken("inode %d has the mode %#o", number, node.Mode)
	}
	return File{Node: node}, nil, nil
}

// metaContent reads what belongs to a directory or a symbolic link: whole blocks, and a part
// at inline behind the inode.
func (i *Image) metaContent(inline int64, format uint16, size int64, block uint32) ([]byte, error) {
	if size > maxDirectoryBytes {
		return nil, broken("a directory of %d bytes", size)
	}
	rest := int64(0)
	if format == formatExtended|formatInline {
		rest = size % blockBytes
	}
	content := make([]byte, 0, min(size, bufferBytes))
	for at := int64(0); at < size; {
		offset, part := int64(block)*blockBytes+at, min(size-rest-at, bufferBytes)
		if part == 0 {
			offset, part = inline, rest
		}
		content = append(content, make([]byte, part)...)
		if _, err := i.file.ReadAt(content[at:], offset); err != nil {
			return nil, broken("read a content: %v", err)
		}
		at += part
	}
	return content, nil
}

func decodeInode(raw []byte) (node *filetree.Node, format uint16, where uint32) {
	return &filetree.Node{
		Mode: uint32(little.Uint16(raw[0x04:])), UID: little.Uint32(raw[0x18:]), GID: little.Uint32(raw[0x1c:]),
		Seconds: int64(little.Uint64(raw[0x20:])), Nanoseconds: little.Uint32(raw[0x28:]), Links: little.Uint32(raw[0x2c:]),
	}, little.Uint16(raw[0x00:]), little.Uint32(raw[0x10:])
}

// numbers decodes what device encodes.
func numbers(encoded uint32) (major, minor uint32) {
	return encoded >> 8 & 0xfff, encoded&0xff | encoded>>12&^0xff
}
