package nfs

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// kinds are the types of files (ftype3) that an export can contain.
var kinds = map[uint32]uint32{unix.S_IFREG: 1, unix.S_IFDIR: 2, unix.S_IFLNK: 5, unix.S_IFSOCK: 6, unix.S_IFIFO: 7}

// modeMask is the bits of a mode that are kept: no setuid and setgid.
const modeMask = 0o1777

const blockSize = 512 // of st_blocks

// attributes writes fattr3.
func (w *writer) attributes(n *node) {
	stat := &n.stat
	w.uint32(kinds[n.kind()])
	w.uint32(stat.Mode & modeMask)
	w.uint32(uint32(stat.Nlink))
	w.uint32(stat.Uid)
	w.uint32(stat.Gid)
	w.uint64(uint64(stat.Size))
	w.uint64(uint64(stat.Blocks) * blockSize)
	w.uint64(0) // no device
	w.uint64(binary.BigEndian.Uint64(n.export.number[:]))
	w.uint64(stat.Ino)
	for _, moment := range []unix.Timespec{stat.Atim, stat.Mtim, stat.Ctim} {
		w.time(moment)
	}
}

func (w *writer) time(moment unix.Timespec) {
	w.uint32(uint32(moment.Sec))
	w.uint32(uint32(moment.Nsec))
}

// after writes post_op_attr: the attributes of a node, if it is not nil.
func (w *writer) after(n *node) {
	w.bool(n != nil)
	if n != nil {
		w.attributes(n)
	}
}

// changed writes wcc_data: attributes of a node from before the call and after it.
func (w *writer) changed(n *node) {
	if n == nil {
		w.uint64(0) // both are unknown
		return
	}
	w.uint32(1)
	w.uint64(uint64(n.stat.Size))
	w.time(n.stat.Mtim)
	w.time(n.stat.Ctim)
	if n.look() != nil {
		w.uint32(0)
		return
	}
	w.after(n)
}

// setting is sattr3: the attributes that a client wants to set.
type setting struct {
	mode, uid, gid *uint32
	size           *uint64
	atime, mtime   unix.Timespec // with Nsec UTIME_OMIT or UTIME_NOW
}

func (r *reader) setting() setting {
	var wanted setting
	for _, field := range []**uint32{&wanted.mode, &wanted.uid, &wanted.gid} {
		if r.bool() {
			value := r.uint32()
			*field = &value
		}
	}
	if r.bool() {
		size := r.uint64()
		wanted.size = &size
	}
	wanted.atime, wanted.mtime = r.time(), r.time()
	return wanted
}

// time reads set_atime and set_mtime.
func (r *reader) time() unix.Timespec {
	const toServerTime, toClientTime = 1, 2
	switch r.uint32() {
	case toServerTime:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	case toClientTime:
		seconds, nanoseconds := r.uint32(), r.uint32()
		return unix.Timespec{Sec: int64(int32(seconds)), Nsec: int64(nanoseconds % 1e9)}
	default:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
}

func (w setting) setsTimes() bool {
	return w.atime.Nsec != unix.UTIME_OMIT || w.mtime.Nsec != unix.UTIME_OMIT
}

// check returns an error if the caller may not set the attributes.
func (w setting) check(n *node, who caller) error {
	ownTimes := w.atime.Nsec == unix.UTIME_NOW || w.mtime.Nsec == unix.UTIME_NOW
	switch {
	case w.uid != nil && *w.uid != n.stat.Uid && who.uid != 0:
		return errPermission
	case w.gid != nil && *w.gid != n.stat.Gid && who.uid != 0 && !(n.owns(who) && who.in(*w.gid)):
		return errPermission
	case w.mode != nil && !n.owns(who):
		return errPermission
	case w.setsTimes() && !n.owns(who) && !(ownTimes && n.allows(who, mayWrite)):
		return errPermission
	case w.size != nil && !n.owns(who) && !n.allows(who, mayWrite):
		return errAccess
	case w.size != nil && int64(*w.size) < 0:
		return errTooLarge
	default:
		return nil
	}
}

// apply sets the attributes of a node.
func (w setting) apply(n *node) error {
	if w.size != nil {
		file, err := n.openFile(unix.O_WRONLY)
		if err != nil {
			return err
		}
		length := int64(*w.size)
		err = n.export.Quota.Resize(file, length, func() error { return unix.Ftruncate(file, length) })
		release(file)
		if err != nil {
			return err
		}
	}
	if w.uid != nil || w.gid != nil {
		if err := unix.Fchownat(n.path, "", idOr(w.uid), idOr(w.gid), unix.AT_EMPTY_PATH); err != nil {
			return err
		}
	}
	if w.mode != nil && n.kind() != unix.S_IFLNK {
		if err := n.chmod(*w.mode & modeMask); err != nil {
			return err
		}
	}
	if w.setsTimes() {
		return unix.UtimesNanoAt(n.path, "", []unix.Timespec{w.atime, w.mtime}, unix.AT_EMPTY_PATH)
	}
	return nil
}

func idOr(id *uint32) int {
	if id == nil {
		return -1
	}
	return int(*id)
}

func (n *node) chmod(mode uint32) error {
	open := n.openFile
	if n.kind() == unix.S_IFDIR {
		open = func(int) (int, error) { return n.openDirectory() }
	}
	file, err := open(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer release(file)
	return unix.Fchmod(file, mode)
}
