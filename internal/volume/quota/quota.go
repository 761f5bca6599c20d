// Package quota holds a volume to a size: every change that takes room or gives it
// back goes through its Quota.
//
// How much is taken is counted in the file system at the first change after a start,
// and kept in memory from then on: no stored number can be wrong after a crash. A volume cannot have more entries than MaxFiles, so counting is
// bounded. A project quota of XFS would do the same in the kernel, but needs a mount
// option that cannot be turned on under what is mounted, and is not there on btrfs.
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
	// block is what a file system gives room in.
	block = 4096
	// bytesPerFile, fewestFiles and mostFiles are how many entries a volume may have
	// by its size: each takes room that is not its content's.
	bytesPerFile = 16 << 10
	fewestFiles  = 10_000
	mostFiles    = 1_000_000
)

// Quota is one volume's. A nil Quota, and one without a limit, refuse nothing.
//
// A file takes its length, rounded up to blocks; one with holes takes no less. An
// entry of a directory takes nothing but itself. A file with several names takes its
// length once.
type Quota struct {
	directory string

	// mutex is held for writing by what changes lengths or entries, for reading by
	// what needs them to stay.
	mutex sync.RWMutex
	limit int64 // bytes; zero is none
	known bool  // bytes and files have been counted
	bytes int64
	files int64
}

// New returns the quota of what is in a directory; a limit of zero is none.
func New(directory string, limit int64) *Quota { return &Quota{directory: directory, limit: limit} }

// State is how much a volume may hold and does hold.
type State struct{ MaxBytes, Bytes, MaxFiles, Files int64 }

// MaxFiles is how many entries a volume of a size may have.
func MaxFiles(bytes int64) int64 { return min(max(bytes/bytesPerFile, fewestFiles), mostFiles) }

// SetLimit changes the limit; what is there may be beyond it.
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

// change is under way while nothing else can change the volume, unless it is without
// a limit.
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

// fits answers EDQUOT where so much more is too much.
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

// uncountable stands for all sums that are beyond an int64: of files with holes, which
// were there before the limit. It is no number of whole blocks.
const uncountable = math.MaxInt64

func sum(bytes, more int64) int64 {
	if more > 0 && bytes > math.MaxInt64-more {
		return uncountable
	}
	return bytes + more
}

// Make does what makes one entry, which takes so many bytes at once.
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

// Reserve takes room for what is not in the volume yet; Give gives it back.
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

// Give gives back what Reserve took.
func (q *Quota) Give(bytes int64) {
	if c, err := q.begin(); err == nil {
		c.add(-bytes, 0)
		c.end()
	}
}

// Resize does what gives an open file another length.
func (q *Quota) Resize(file int, length int64, do func() error) error {
	c, err := q.begin()
	if err != nil {
		return err
	}
	defer c.end()
	return c.resize(file, func(int64) int64 { return length }, do)
}

// resize measures afterwards what was done: it may have been done in part.
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

// Write does what writes to an open file up to an end. Writes within a file's length
// go on beside each other.
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
	c.forget(gone)
	return nil
}

// Rename moves an entry, in place of any that has the name.
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
	if replaced != nil && moved != nil && replaced.Ino != moved.Ino { // of one file's two names both stay
		c.forget(replaced)
	}
	return nil
}

// Place moves a file from outside into the volume, in place of any that has the name.
// Its room was reserved; what that was beyond its length is given back.
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
		c.forget(replaced)
	}
	return nil
}

// lookUp returns what has a name, nil for nothing. It is not asked for a volume
// without a limit.
func (c change) lookUp(directory int, name string) (*unix.Stat_t, error) {
	if !c.limited {
		return nil, nil //nolint:nilnil // nothing is looked up
	}
	var found unix.Stat_t
	err := unix.Fstatat(directory, name, &found, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil //nolint:nilnil // nothing has the name
	}
	return &found, err
}

// forget takes an entry off that is gone, and the content with a file's last name.
func (c change) forget(gone *unix.Stat_t) {
	if gone == nil {
		return
	}
	c.add(0, -1)
	if gone.Nlink <= 1 {
		c.add(-chargeOf(gone), 0)
	}
}

// Charge is what a file of a length takes; at most the greatest number of blocks that
// is a number of bytes, too.
func Charge(length int64) int64 {
	const most = math.MaxInt64 / block * block
	if length > most {
		return most
	}
	return (max(length, 0) + block - 1) / block * block
}

// chargeOf is how many bytes an inode takes, which are given back with its last name.
// A directory takes none itself.
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
