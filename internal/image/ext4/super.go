package ext4

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// super is the superblock, with the fields that the writer needs.
type super struct {
	raw             []byte
	blocks, inodes  uint32
	blocksPerGroup  uint32
	inodesPerGroup  uint32
	reservedBlocks  uint32 // blocks behind the group descriptors, for growing
	groups          uint32
	seed            uint32 // of all checksums
	descriptorCount uint32 // blocks of group descriptors
}

var errFormat = errors.New("the file system is not as mke2fs should have made it")

func readSuper(file io.ReaderAt) (*super, error) {
	raw := make([]byte, superblockBytes)
	if _, err := file.ReadAt(raw, superblockOffset); err != nil {
		return nil, fmt.Errorf("read superblock: %w", err)
	}
	s := &super{
		raw: raw, inodes: little.Uint32(raw[0x00:]), blocks: little.Uint32(raw[0x04:]),
		blocksPerGroup: little.Uint32(raw[0x20:]), inodesPerGroup: little.Uint32(raw[0x28:]),
		reservedBlocks: uint32(little.Uint16(raw[0xce:])), seed: checksum(math.MaxUint32, raw[0x68:0x78]),
	}
	known := little.Uint16(raw[0x38:]) == superblockMagic && little.Uint32(raw[0x18:]) == 2 && // blocks of 1024<<2 bytes
		little.Uint16(raw[0x58:]) == inodeBytes && little.Uint16(raw[0xfe:]) == descriptorBytes &&
		little.Uint32(raw[0x150:]) == 0 && s.blocks > 0 && s.blocksPerGroup == 8*blockBytes && s.inodesPerGroup > 0
	if !known {
		return nil, errFormat
	}
	if little.Uint32(raw[0x5c:]) != compatible || little.Uint32(raw[0x60:]) != incompatible || little.Uint32(raw[0x64:]) != readOnlyOK {
		return nil, fmt.Errorf("%w: it has features %#x, %#x and %#x", errFormat,
			little.Uint32(raw[0x5c:]), little.Uint32(raw[0x60:]), little.Uint32(raw[0x64:]))
	}
	s.groups = (s.blocks-1)/s.blocksPerGroup + 1
	s.descriptorCount = (s.groups*descriptorBytes-1)/blockBytes + 1
	return s, nil
}

// write writes the superblock with new counts.
func (s *super) write(file *os.File, freeBlocks uint64, freeInodes uint32) error {
	little.PutUint32(s.raw[0x0c:], uint32(freeBlocks))
	little.PutUint32(s.raw[0x158:], uint32(freeBlocks>>32))
	little.PutUint32(s.raw[0x10:], freeInodes)
	const checksumOffset = 0x3fc
	little.PutUint32(s.raw[checksumOffset:], checksum(math.MaxUint32, s.raw[:checksumOffset]))
	_, err := file.WriteAt(s.raw, superblockOffset)
	return err
}

// hasBackup says whether a group begins with a copy of the superblock: 0, 1 and powers of
// 3, 5 and 7 (sparse_super).
func hasBackup(group uint32) bool {
	if group <= 1 {
		return true
	}
	for _, base := range []uint32{3, 5, 7} {
		power := base
		for power < group {
			power *= base
		}
		if power == group {
			return true
		}
	}
	return false
}

// group is a group descriptor.
type group []byte

func (g group) blockBitmap() uint32 { return little.Uint32(g[0x0:]) }
func (g group) inodeBitmap() uint32 { return little.Uint32(g[0x4:]) }
func (g group) inodeTable() uint32  { return little.Uint32(g[0x8:]) }
func (g group) has(flag uint16) bool {
	return little.Uint16(g[0x12:])&flag != 0
}

func (g group) clear(flag uint16) {
	little.PutUint16(g[0x12:], little.Uint16(g[0x12:])&^flag)
}

// set writes a number whose low half is at low and its high half at high.
func (g group) set(low, high int, value uint32) {
	little.PutUint16(g[low:], uint16(value))
	little.PutUint16(g[high:], uint16(value>>16))
}

func (g group) setBlockBitmap(sum, free uint32) {
	g.clear(blocksUninitialised)
	g.set(0x18, 0x38, sum)
	g.set(0x0c, 0x2c, free)
}

func (g group) setInodeBitmap(sum, free, unused, directories uint32) {
	g.clear(inodesUninitialised)
	g.set(0x1a, 0x3a, sum)
	g.set(0x0e, 0x2e, free)
	g.set(0x10, 0x30, directories)
	g.set(0x1c, 0x32, unused)
}

func (g group) setChecksum(seed, number uint32) {
	const offset = 0x1e
	little.PutUint16(g[offset:], 0)
	little.PutUint16(g[offset:], uint16(checksum(seed, bytes32(number), g)))
}
