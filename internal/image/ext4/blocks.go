package ext4

import (
	"errors"
	"math/bits"
	"os"

	"golang.org/x/sys/unix"
)

// ErrFull is returned when the file system has no room for what is written.
var ErrFull = errors.New("the file system is full")

// bitmap has a bit for each block, as the blocks' bitmaps on disk.
type bitmap []byte

func (b bitmap) has(n uint32) bool { return b[n/8]&(1<<(n%8)) != 0 }
func (b bitmap) set(n uint32)      { b[n/8] |= 1 << (n % 8) }
func (b bitmap) clear(n uint32)    { b[n/8] &^= 1 << (n % 8) }

func (b bitmap) count() uint32 {
	ones := 0
	for _, one := range b {
		ones += bits.OnesCount8(one)
	}
	return uint32(ones)
}

// blocks knows which blocks are in use.
type blocks struct {
	used bitmap
	// written are those in the file that may not be zeros.
	written bitmap
	total   uint32
	free    uint32
	next    uint32 // where to look first
}

// newBlocks takes over the blocks that an empty file system uses.
func newBlocks(file *os.File, s *super, groups []group) (*blocks, error) {
	perGroup := s.blocksPerGroup / 8
	b := &blocks{used: make(bitmap, s.groups*perGroup), written: make(bitmap, s.groups*perGroup), total: s.blocks}
	for number, g := range groups {
		if g.has(blocksUninitialised) {
			continue
		}
		part := b.used[uint32(number)*perGroup:][:perGroup]
		if _, err := file.ReadAt(part, int64(g.blockBitmap())*blockBytes); err != nil {
			return nil, err
		}
	}
	tableBlocks := s.inodesPerGroup * inodeBytes / blockBytes
	for number, g := range groups {
		b.used.set(g.blockBitmap())
		b.used.set(g.inodeBitmap())
		for i := range tableBlocks {
			b.used.set(g.inodeTable() + i)
		}
		if hasBackup(uint32(number)) {
			first := uint32(number) * s.blocksPerGroup
			for i := range 1 + s.descriptorCount + s.reservedBlocks {
				b.used.set(first + i)
			}
		}
	}
	for past := s.blocks; past < s.groups*s.blocksPerGroup; past++ {
		b.used.set(past)
	}
	b.free = s.groups*s.blocksPerGroup - b.used.count()
	return b, nil
}

// allocate takes up to want blocks in a row, and at least one.
func (b *blocks) allocate(want uint32) (first, count uint32, err error) {
	if b.free == 0 {
		return 0, 0, ErrFull
	}
	if b.next >= b.total {
		b.next = 0
	}
	first = b.next
	for b.used.has(first) {
		if first%8 == 0 && b.used[first/8] == 0xff {
			first += 8
		} else {
			first++
		}
		if first >= b.total {
			first = 0
		}
	}
	for count < want && first+count < b.total && !b.used.has(first+count) {
		b.used.set(first + count)
		b.written.set(first + count)
		count++
	}
	b.free -= count
	b.next = first + count
	return first, count, nil
}

func (b *blocks) release(first, count uint32) {
	for i := range count {
		b.used.clear(first + i)
	}
	b.free += count
	b.next = min(b.next, first)
}

// punch makes blocks that were written and are free holes of the file.
func (b *blocks) punch(file *os.File) error {
	for first := uint32(0); first < b.total; first++ {
		if b.written[first/8] == 0 {
			first |= 7
			continue
		}
		if !b.written.has(first) || b.used.has(first) {
			continue
		}
		past := first + 1
		for past < b.total && b.written.has(past) && !b.used.has(past) {
			past++
		}
		if err := punchHole(file, int64(first)*blockBytes, int64(past-first)*blockBytes); err != nil {
			return err
		}
		first = past - 1
	}
	return nil
}

func punchHole(file *os.File, offset, size int64) error {
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, size)
}
