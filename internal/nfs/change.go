package nfs

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// target reads where a call makes an entry: a directory that the caller may change, and a
// name.
func (s *Server) target(c *call) (*node, string, error) {
	directory, name, err := s.place(c)
	if err != nil {
		return nil, "", err
	}
	if err = checkName(name); err == nil {
		err = directory.mayChange(c.caller)
	}
	if err == nil {
		err = directory.export.room(0)
	}
	if err != nil {
		directory.close()
		return nil, "", err
	}
	return directory, name, nil
}

// finish gives a new entry to the caller and sets its attributes.
func (s *Server) finish(c *call, w *writer, directory *node, name string, wanted setting) error {
	n, err := directory.child(name)
	if err != nil {
		return err
	}
	defer n.close()
	if err := unix.Fchownat(n.path, "", int(c.caller.uid), int(c.caller.gid), unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	if err := n.look(); err != nil {
		return err
	}
	if wanted.check(n, c.caller) != nil {
		wanted.uid, wanted.gid = nil, nil // only root can give it to another user
	}
	if err := wanted.apply(n); err != nil {
		return err
	}
	return s.show(w, directory, n)
}

// show answers with the entry that a call has made in a directory.
func (s *Server) show(w *writer, directory, n *node) error {
	handle, err := n.export.handleOf(n.path)
	if err != nil {
		return err
	}
	if err := n.look(); err != nil {
		return err
	}
	w.bool(true)
	w.opaque(handle)
	w.after(n)
	w.changed(directory)
	return nil
}

// How a file is created that may exist already.
const (
	createUnchecked = 0
	createExclusive = 2
)

func create(s *Server, c *call, w *writer) error {
	directory, name, err := s.place(c)
	if err != nil {
		return err
	}
	defer directory.close()
	var wanted setting
	how := c.arguments.uint32()
	if how == createExclusive {
		verifier := c.arguments.uint64()
		wanted = markedWith(verifier)
	} else {
		wanted = c.arguments.setting()
	}
	if c.arguments.bad {
		return errInvalid
	}
	if err := checkName(name); err != nil {
		return err
	}
	existing, err := directory.child(name)
	if err == nil {
		defer existing.close()
		return s.createExisting(c, w, directory, existing, how, wanted)
	}
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := errors.Join(directory.mayChange(c.caller), directory.export.room(0)); err != nil {
		return err
	}
	const flags = unix.O_CREAT | unix.O_EXCL | unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	err = directory.export.Quota.Make(0, func() error {
		file, err := unix.Openat(directory.path, name, flags, 0o600)
		if err == nil {
			release(file)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.finish(c, w, directory, name, wanted)
}

// markedWith keeps the verifier of an exclusive create in the times of the file, which the
// client sets next: the same call again finds it existing.
func markedWith(verifier uint64) setting {
	words := binary.BigEndian.AppendUint64(nil, verifier)
	const positive = 1<<31 - 1
	atime, mtime := binary.BigEndian.Uint32(words)&positive, binary.BigEndian.Uint32(words[4:])&positive
	return setting{atime: unix.Timespec{Sec: int64(atime)}, mtime: unix.Timespec{Sec: int64(mtime)}}
}

// createExisting answers a create of a file that exists already.
func (s *Server) createExisting(c *call, w *writer, directory, existing *node, how uint32, wanted setting) error {
	switch {
	case how == createExclusive && existing.stat.Atim.Sec == wanted.atime.Sec && existing.stat.Mtim.Sec == wanted.mtime.Sec:
		return s.show(w, directory, existing)
	case how != createUnchecked || existing.kind() != unix.S_IFREG:
		return errExists
	}
	if wanted.size != nil {
		resized := setting{size: wanted.size, atime: omitted, mtime: omitted}
		if err := resized.check(existing, c.caller); err != nil {
			return err
		}
		if err := resized.apply(existing); err != nil {
			return err
		}
	}
	return s.show(w, directory, existing)
}

var omitted = unix.Timespec{Nsec: unix.UTIME_OMIT}

func makeDirectory(s *Server, c *call, w *writer) error {
	directory, name, err := s.target(c)
	if err != nil {
		return err
	}
	defer directory.close()
	wanted := c.arguments.setting()
	wanted.size = nil
	if c.arguments.bad {
		return errInvalid
	}
	change := func() error { return unix.Mkdirat(directory.path, name, 0o700) }
	if err := directory.export.Quota.Make(0, change); err != nil {
		return err
	}
	return s.finish(c, w, directory, name, wanted)
}

// makeLink is SYMLINK. The target is not checked: the host follows no link.
func makeLink(s *Server, c *call, w *writer) error {
	directory, name, err := s.target(c)
	if err != nil {
		return err
	}
	defer directory.close()
	wanted := c.arguments.setting()
	wanted.size = nil
	target := string(c.arguments.opaque(unix.PathMax - 1))
	if c.arguments.bad {
		return errInvalid
	}
	change := func() error { return unix.Symlinkat(target, directory.path, name) }
	if err := directory.export.Quota.Make(int64(len(target)), change); err != nil {
		return err
	}
	return s.finish(c, w, directory, name, wanted)
}

func makeNode(*Server, *call, *writer) error { return errPermission }

func removeFile(s *Server, c *call, w *writer) error { return s.remove(c, w, 0) }

func removeDirectory(s *Server, c *call, w *writer) error { return s.remove(c, w, unix.AT_REMOVEDIR) }

func (s *Server) remove(c *call, w *writer, flags int) error {
	directory, name, err := s.place(c)
	if err != nil {
		return err
	}
	defer directory.close()
	if err := checkName(name); err != nil {
		return err
	}
	if err := directory.mayRemove(c.caller, name); err != nil {
		return err
	}
	if err := directory.export.Quota.Unlink(directory.path, name, flags); err != nil {
		return err
	}
	w.changed(directory)
	return nil
}

func rename(s *Server, c *call, w *writer) error {
	from, oldName, err := s.place(c)
	if err != nil {
		return err
	}
	defer from.close()
	to, newName, err := s.place(c)
	if err != nil {
		return err
	}
	defer to.close()
	if from.export != to.export {
		return errOtherDevice
	}
	if err := errors.Join(checkName(oldName), checkName(newName)); err != nil {
		return err
	}
	if err := from.mayRemove(c.caller, oldName); err != nil {
		return err
	}
	if err := to.mayRemove(c.caller, newName); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := from.export.Quota.Rename(from.path, oldName, to.path, newName); err != nil {
		return err
	}
	w.changed(from)
	w.changed(to)
	return nil
}

func link(s *Server, c *call, w *writer) error {
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	directory, name, err := s.target(c)
	if err != nil {
		return err
	}
	defer directory.close()
	if n.export != directory.export {
		return errOtherDevice
	}
	if n.kind() == unix.S_IFDIR {
		return errInvalid
	}
	change := func() error { return unix.Linkat(n.path, "", directory.path, name, unix.AT_EMPTY_PATH) }
	if err := n.export.Quota.Make(0, change); err != nil {
		return err
	}
	if err := n.look(); err != nil {
		return err
	}
	w.after(n)
	w.changed(directory)
	return nil
}
