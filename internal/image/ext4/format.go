// Package ext4 writes a tree of files into an empty ext4 file system that mke2fs has made
// in a file, without mounting it.
//
// Source of all formats: "ext4 Data Structures and Algorithms" in the kernel's
// documentation (Documentation/filesystems/ext4). All numbers are little-endian.
package ext4

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	blockBytes = 4096
	inodeBytes = 256
	// inodeExtra is how much of an inode behind the first 128 bytes has fields.
	inodeExtra = 32

	superblockOffset = 1024
	superblockBytes  = 1024
	superblockMagic  = 0xef53
	descriptorBytes  = 64
)

// Inodes that mke2fs makes.
const (
	rootInode    = 2
	journalInode = 8
	firstInode   = 11
)

// Features that the writer knows. It needs all of each list, and nothing else may be set.
const (
	compatible   = 0x4 | 0x8 | 0x10 | 0x20                                        // has_journal, ext_attr, resize_inode, dir_index
	incompatible = 0x2 | 0x40 | 0x80 | 0x200                                      // filetype, extents, 64bit, flex_bg
	readOnlyOK   = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400                          // sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum
	Features     = "none,has_journal,ext_attr,resize_inode,dir_index,filetype," + // as mke2fs -O has them
		"extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"
)

// Flags of group descriptors.
const (
	inodesUninitialised = 0x1
	blocksUninitialised = 0x2
)

// Flags of inodes.
const flagExtents = 0x80000

var little = binary.LittleEndian

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum continues a CRC-32C as ext4 has it: without the inversions before and after.
func checksum(seed uint32, parts ...[]byte) uint32 {
	for _, part := range parts {
		seed = ^crc32.Update(^seed, castagnoli, part)
	}
	return seed
}

func bytes32(value uint32) []byte { return little.AppendUint32(nil, value) }
