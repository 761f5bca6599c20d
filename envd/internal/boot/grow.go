package boot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// resizeRequest is EXT4_IOC_RESIZE_FS of linux/ext4.h, with the new number of blocks.
const resizeRequest = 0x40086610

// ext4Shape is what a superblock says of a file system's size.
type ext4Shape struct{ blocks, blockBytes uint64 }

// growRoot grows a mounted ext4 to the size of its disk, which may be larger than the one
// that the file system was made for. The kernel does it: no other program reads what the
// guest has written.
func growRoot(device, mountPoint string) error {
	opened, err := os.Open(device)
	if err != nil {
		return fmt.Errorf("grow the root file system: %w", err)
	}
	defer opened.Close()
	size, err := deviceBytes(opened)
	if err != nil {
		return fmt.Errorf("grow the root file system: measure the disk: %w", err)
	}
	shape, err := readShape(opened)
	if err != nil {
		return fmt.Errorf("grow the root file system: %w", err)
	}
	wanted := size / shape.blockBytes
	if wanted <= shape.blocks {
		return nil
	}
	directory, err := os.Open(mountPoint)
	if err != nil {
		return fmt.Errorf("grow the root file system: %w", err)
	}
	defer directory.Close()
	if err := exchange(directory, resizeRequest, &wanted); err != nil {
		return fmt.Errorf("grow the root file system from %d to %d blocks: %w", shape.blocks, wanted, err)
	}
	return nil
}

func deviceBytes(device *os.File) (size uint64, err error) {
	err = exchange(device, unix.BLKGETSIZE64, &size)
	return size, err
}

// exchange makes a request of the kernel's that reads or writes a number.
func exchange(file *os.File, request uintptr, number *uint64) error {
	return utils.WithDescriptor(file, func(opened int) error { return askKernel(opened, request, unsafe.Pointer(number)) })
}

// Places in the superblock. Source: Documentation/filesystems/ext4/super.rst in Linux.
const (
	superblockOffset = 1024
	superblockBytes  = 1024
	blocksLow        = 0x4
	blockSizeLog     = 0x18 // of units of 1024 bytes
	magicOffset      = 0x38
	incompatible     = 0x60
	blocksHigh       = 0x150
	ext4Magic        = 0xef53
	feature64Bit     = 0x80
	largestBlockLog  = 6
)

// readShape reads the superblock of a disk, or of an image of one.
func readShape(device *os.File) (ext4Shape, error) {
	block := make([]byte, superblockBytes)
	if _, err := device.ReadAt(block, superblockOffset); err != nil {
		return ext4Shape{}, fmt.Errorf("read the superblock: %w", err)
	}
	if binary.LittleEndian.Uint16(block[magicOffset:]) != ext4Magic {
		return ext4Shape{}, errors.New("the disk has no ext4 superblock")
	}
	log := binary.LittleEndian.Uint32(block[blockSizeLog:])
	if log > largestBlockLog {
		return ext4Shape{}, fmt.Errorf("the superblock has blocks of 2^%d KiB", log)
	}
	shape := ext4Shape{blocks: uint64(binary.LittleEndian.Uint32(block[blocksLow:])), blockBytes: superblockBytes << log}
	if binary.LittleEndian.Uint32(block[incompatible:])&feature64Bit != 0 {
		shape.blocks |= uint64(binary.LittleEndian.Uint32(block[blocksHigh:])) << 32
	}
	if shape.blocks == 0 || shape.blocks > math.MaxInt64/shape.blockBytes {
		return ext4Shape{}, fmt.Errorf("the superblock has %d blocks", shape.blocks)
	}
	return shape, nil
}
