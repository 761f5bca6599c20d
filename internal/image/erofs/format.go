// Package erofs writes a tree of files as a read-only file system image, which gVisor maps
// into memory: sandboxes made from one image share its pages.
//
// The layout is what gVisor reads (gvisor.dev/gvisor/pkg/erofs), and the kernel as well:
// nothing is compressed, a file's content is one run of blocks, without chunks or an inline
// tail, and no feature is set that a reader must know. A hole in a file is a hole in the
// image, which takes addresses and no room.
//
// Source of the format: "EROFS" in the kernel's documentation
// (Documentation/filesystems/erofs.rst). All numbers are little-endian.
//
//	block 0   the superblock, at byte 1024
//	block 1   contents of regular files, in the order in which they came
//	…         inodes, each with the end of its directory or its symbolic link
//	…         directories' and links' blocks that are not beside their inodes
package erofs

import (
	"encoding/binary"
	"hash/crc32"

	"golang.org/x/sys/unix"
)

const (
	blockBits  = 12
	blockBytes = 1 << blockBits

	superblockOffset = 1024
	superblockMagic  = 0xe0f5e1e2

	// slotBytes is the unit of inode numbers: an inode's is its offset in the inodes'
	// blocks, in slots.
	slotBytes = 32
	// inodeBytes is the size of an extended inode. A compact one lacks the time.
	inodeBytes = 64
	// firstSlot is the root's: programs take an inode number of 0 for no file.
	firstSlot = inodeBytes / slotBytes

	entryBytes = 12 // of a directory's entry, without its name
)

// Compatible features: a reader may ignore them.
const (
	featureChecksum = 0x1
	featureTimes    = 0x2 // an inode's time is that of its content's last change
)

// Formats of inodes: bit 0 is set for an extended one, the bits above say where its content
// is.
const (
	formatExtended = 1
	formatPlain    = 0 << 1 // in blocks
	formatInline   = 2 << 1 // in blocks, but for the last part, which is behind the inode
)

var entryTypes = map[uint32]byte{
	unix.S_IFREG: 1, unix.S_IFDIR: 2, unix.S_IFCHR: 3, unix.S_IFBLK: 4, unix.S_IFIFO: 5, unix.S_IFSOCK: 6, unix.S_IFLNK: 7,
}

var little = binary.LittleEndian

// superblock is what differs between images. It is the whole first block.
type superblock struct {
	root    uint16 // inode number
	inodes  uint64
	seconds uint64 // since 1970
	blocks  uint32
	// inodeBlock is where the inodes begin.
	inodeBlock uint32
	uuid       [16]byte
}

func (s superblock) encode() []byte {
	block := make([]byte, blockBytes)
	raw := block[superblockOffset:]
	little.PutUint32(raw[0x00:], superblockMagic)
	little.PutUint32(raw[0x08:], featureChecksum|featureTimes)
	raw[0x0c] = blockBits
	little.PutUint16(raw[0x0e:], s.root)
	little.PutUint64(raw[0x10:], s.inodes)
	little.PutUint64(raw[0x18:], s.seconds)
	little.PutUint32(raw[0x24:], s.blocks)
	little.PutUint32(raw[0x28:], s.inodeBlock)
	copy(raw[0x30:], s.uuid[:])
	// The sum is of all behind the first 1024 bytes, without the inversion at its end.
	little.PutUint32(raw[0x04:], ^crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli)))
	return block
}

func decodeSuperblock(block []byte) superblock {
	raw := block[superblockOffset:]
	s := superblock{
		root: little.Uint16(raw[0x0e:]), inodes: little.Uint64(raw[0x10:]), seconds: little.Uint64(raw[0x18:]),
		blocks: little.Uint32(raw[0x24:]), inodeBlock: little.Uint32(raw[0x28:]),
	}
	copy(s.uuid[:], raw[0x30:])
	return s
}
