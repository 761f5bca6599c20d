// Package quota limits the size of a volume: every change that takes or frees room goes
// through its Quota.
//
// The size is counted in the file system at the first change after a start, and kept in
// memory from then on: no stored number can be wrong after a crash. A volume cannot have
// more entries than MaxFiles, so counting is bounded. A project quota of XFS would do the
// same in the kernel, but needs a mount option that cannot be changed while the file system
// is mounted, and btrfs has none.
package quota

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// block is the unit, in bytes, in which a file system allocates.
	block = 4096
	// bytesPerFile, fewestFiles and mostFiles bound a volume's entries by its size: each
	// takes room beside its content.
	bytesPerFile = 16 << 10
	fewestFiles  = 10_000
	mostFiles    = 1_000_000
)

// Quota is one volume's. A nil Quota, and one without a limit, refuse nothing.
//
// A file is charged its length, rounded up to blocks, holes included. Directories are
// charged no bytes. A file with several names is charged its length once.
type Quota struct {
	directory string

	// mutex is held for writing while lengths or entries change, for reading while they
	// must not. It is held across the change on disk: that is what it orders.
	mutex sync.RWMutex
	limit int64 // bytes; zero is none
	known bool  // bytes and files have been counted
	bytes int64
	files int64
}

// New returns the quota of a directory's content; a limit of zero is none.
func New(directory string, limit int64) *Quota { return &Quota{directory: directory, limit: limit} }

// State is how much a volume may hold and how much it holds.
type State struct{ MaxBytes, Bytes, MaxFiles, Files int64 }

// MaxFiles is how many entries a volume of that size may have.
func MaxFiles(bytes int64) int64 { return min(max(bytes/bytesPerFile, fewestFiles), mostFiles) }

// SetLimit changes the limit. Content beyond it stays.
func (q *Quota) SetLimit(limit int64) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	q.limit, q.known = limit, q.known && q.limit > 0
}

// State returns false for a volume without a limit.
func (q *Quota) State() (state State, limited bool, err error) {
	change, err := q.begin()
	if err != nil {
		return State{}, false, err
	}
	defer change.end()
	if !change.limited {
		return State{}, false, nil
	}
	return State{MaxBytes: q.limit, Bytes: q.bytes, MaxFiles: MaxFiles(q.limit), Files: q.files}, true, nil
}

// change is one change of a volume. With a limit, no other runs at the same time.
type change struct {
	quota   *Quota
	limited bool
	end     func()
}

func (q *Quota) begin() (change, error) {
	if q == nil {
		return change{end: func() {}}, nil
	}
	q.mutex.RLock()
	if q.limit == 0 {
		return change{quota: q, end: q.mutex.RUnlock}, nil
	}
	q.mutex.RUnlock()
	q.mutex.Lock()
	if !q.known && q.limit > 0 {
		counted, err := count(q.directory)
		if err != nil {
			q.mutex.Unlock()
			return change{}, fmt.Errorf("count what is in a volume: %w", err)
		}
		q.bytes, q.files, q.known = counted.bytes, counted.files, true
	}
	return change{quota: q, limited: q.limit > 0, end: q.mutex.Unlock}, nil
}

// fits returns EDQUOT if there is no room for so much more.
func (c change) fits(bytes, files int64) error {
	if !c.limited {
		return nil
	}
	q := c.quota
	if bytes > 0 && bytes > q.limit-q.bytes || files > 0 && q.files+files > MaxFiles(q.limit) {
		return fmt.Errorf("the volume holds %d of %d bytes in %d of %d entries: %w",
			q.bytes, q.limit, q.files, MaxFiles(q.limit), unix.EDQUOT)
	}
	return nil
}

func (c change) add(bytes, files int64) {
	if !c.limited {
		return
	}
	q := c.quota
	q.files += files
	if bytes < 0 && q.bytes == uncountable {
		q.known = false
		return
	}
	q.bytes = sum(q.bytes, bytes)
}

// uncountable stands for every sum beyond an int64, of files with holes that are older
// than the limit. It is no multiple of block, so no real sum equals it.
const uncountable = math.MaxInt64

func sum(bytes, more int64) int64 {
	if more > 0 && bytes > math.MaxInt64-more {
		return uncountable
	}
	return bytes + more
}

// Make calls do, which makes one entry of so many bytes.
func (q *Quota) Make(bytes int64, do func() error) error {
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.fits(Charge(bytes), 1); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	c.add(Charge(bytes), 1)
	return nil
}

// Reserve takes room for a file that is not in the volume yet; Give frees it.
func (q *Quota) Reserve(bytes int64) error {
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.fits(bytes, 0); err != nil {
		return err
	}
	c.add(bytes, 0)
	return nil
}

// Give frees room that Reserve has taken.
func (q *Quota) Give(bytes int64) {
	if c, err := q.begin(); err == nil {
		c.add(-bytes, 0)
		c.end()
	}
}

// Resize calls do, which changes the length of an open file.
func (q *Quota) Resize(file int, length int64, do func() error) error {
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	return c.resize(file, func(int64) int64 { return length }, do)
}

// resize measures the length afterwards: do may have done its work in part.
func (c change) resize(file int, length func(before int64) int64, do func() error) error {
	if !c.limited {
		return do()
	}
	before, err := sizeOf(file)
	if err != nil {
		return err
	}
	if err := c.fits(Charge(length(before))-Charge(before), 0); err != nil {
		return err
	}
	doErr := do()
	after, err := sizeOf(file)
	if err != nil {
		c.quota.known = false
		return err
	}
	c.add(Charge(after)-Charge(before), 0)
	return doErr
}

// Write calls do, which writes to an open file up to an end. Writes within a file's length
// run at the same time.
func (q *Quota) Write(file int, end int64, do func() error) error {
	if q != nil {
		q.mutex.RLock()
		if size, err := sizeOf(file); q.limit == 0 || err == nil && end <= size {
			defer q.mutex.RUnlock()
			return do()
		}
		q.mutex.RUnlock()
	}
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	return c.resize(file, func(before int64) int64 { return max(before, end) }, do)
}

// Unlink removes an entry of an open directory.
func (q *Quota) Unlink(directory int, name string, flags int) error {
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	gone, err := c.lookUp(directory, name)
	if err != nil {
		return err
	}
	if err := unix.Unlinkat(directory, name, flags); err != nil {
		return err
	}
	c.uncharge(gone)
	return nil
}

// Rename moves an entry and replaces one that has the new name.
func (q *Quota) Rename(from int, oldName string, to int, newName string) error {
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	moved, err := c.lookUp(from, oldName)
	if err != nil {
		return err
	}
	replaced, err := c.lookUp(to, newName)
	if err != nil {
		return err
	}
	if err := unix.Renameat(from, oldName, to, newName); err != nil {
		return err
	}
	if replaced != nil && moved != nil && replaced.Ino != moved.Ino { // two names of one file: renameat(2) does nothing
		c.uncharge(replaced)
	}
	return nil
}

// Place moves a file from outside into the volume and replaces one that has the name. Room
// for it was reserved; the part beyond its length is freed.
func (q *Quota) Place(path string, to int, name string, reserved int64) error {
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	replaced, err := c.lookUp(to, name)
	if err != nil {
		return err
	}
	if replaced == nil {
		if err := c.fits(0, 1); err != nil {
			return err
		}
	}
	if err := unix.Renameat(unix.AT_FDCWD, path, to, name); err != nil {
		return err
	}
	c.add(Charge(info.Size())-reserved, 1)
	if replaced != nil {
		c.uncharge(replaced)
	}
	return nil
}

// lookUp returns the inode of an entry, nil for none. For a volume without a limit it
// returns nil.
func (c change) lookUp(directory int, name string) (*unix.Stat_t, error) {
	if !c.limited {
		return nil, nil //nolint:nilnil // there is no limit
	}
	var entry unix.Stat_t
	err := unix.Fstatat(directory, name, &entry, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil //nolint:nilnil // there is no entry
	}
	return &entry, err
}

// uncharge subtracts an entry that was removed, and its content with the last name.
func (c change) uncharge(gone *unix.Stat_t) {
	if gone == nil {
		return
	}
	c.add(0, -1)
	if gone.Nlink <= 1 {
		c.add(-chargeOf(gone), 0)
	}
}

// Charge is how many bytes a file of a length is charged: whole blocks, at most as many as
// fit an int64.
func Charge(length int64) int64 {
	const most = math.MaxInt64 / block * block
	if length > most {
		return most
	}
	return (max(length, 0) + block - 1) / block * block
}

// chargeOf is how many bytes an inode is charged until its last name is removed.
// Directories are charged none.
func chargeOf(stat *unix.Stat_t) int64 {
	if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		return 0
	}
	return Charge(stat.Size)
}

func sizeOf(file int) (int64, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(file, &stat); err != nil {
		return 0, err
	}
	return stat.Size, nil
}
