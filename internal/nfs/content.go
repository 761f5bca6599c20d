package nfs

import (
	"math"

	"golang.org/x/sys/unix"
)

func read(s *Server, c *call, w *writer) error {
	handle := c.arguments.opaque(maxHandle)
	offset, count := c.arguments.uint64(), min(c.arguments.uint32(), maxTransfer)
	if c.arguments.bad {
		return errInvalid
	}
	n, err := s.find(handle)
	if err != nil {
		return err
	}
	defer n.close()
	// The owner may have opened the file before its mode was changed; and to run a
	// program, a client reads it.
	if !n.owns(c.caller) && !n.allows(c.caller, mayRead) && !n.allows(c.caller, mayEnter) {
		return errAccess
	}
	file, err := n.openFile(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer release(file)
	content := make([]byte, count)
	length := 0
	if offset <= math.MaxInt64-maxTransfer {
		if length, err = unix.Pread(file, content, int64(offset)); err != nil {
			return err
		}
	}
	w.after(n)
	w.uint32(uint32(length))
	w.bool(length < int(count) || offset+uint64(length) >= uint64(n.stat.Size))
	w.opaque(content[:length])
	return nil
}

// How durable a write is to be, or is.
const (
	unstable   = 0
	fileSynced = 2
)

func write(s *Server, c *call, w *writer) error {
	handle := c.arguments.opaque(maxHandle)
	offset, _, stable := c.arguments.uint64(), c.arguments.uint32(), c.arguments.uint32()
	content := c.arguments.opaque(maxTransfer)
	if c.arguments.bad {
		return errInvalid
	}
	n, err := s.find(handle)
	if err != nil {
		return err
	}
	defer n.close()
	if !n.owns(c.caller) && !n.allows(c.caller, mayWrite) {
		return errAccess
	}
	if offset > math.MaxInt64-maxTransfer {
		return errTooLarge
	}
	if err := n.export.room(int64(len(content))); err != nil {
		return err
	}
	file, err := n.openFile(unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer release(file)
	length := 0
	err = n.export.Quota.Write(file, int64(offset)+int64(len(content)), func() (err error) {
		length, err = unix.Pwrite(file, content, int64(offset))
		return err
	})
	if err != nil {
		return err
	}
	if stable != unstable {
		if err := unix.Fdatasync(file); err != nil {
			return err
		}
		stable = fileSynced
	}
	w.changed(n)
	w.uint32(uint32(length))
	w.uint32(stable)
	w.buffer = append(w.buffer, s.verifier[:]...)
	return nil
}

func (e *Export) room(bytes int64) error {
	if e.Room == nil {
		return nil
	}
	return e.Room(bytes)
}

func commit(s *Server, c *call, w *writer) error {
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	file, err := n.openFile(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer release(file)
	if err := unix.Fdatasync(file); err != nil {
		return err
	}
	w.changed(n)
	w.buffer = append(w.buffer, s.verifier[:]...)
	return nil
}
