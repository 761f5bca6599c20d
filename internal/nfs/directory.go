package nfs

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// directoryEntry is one of getdents64(2). Its cookie is the kernel's, valid as long as the
// directory exists: the server keeps no lists.
type directoryEntry struct {
	name   string
	inode  uint64
	cookie uint64
}

// Sizes of the parts of a list, in bytes.
const (
	maxList     = 64 << 10
	listHeader  = 128 // status, attributes, verifier, and the end
	entryHeader = 24  // whether one follows, inode, the name's length, cookie
	entryExtra  = 100 + maxHandle
)

func readDirectory(s *Server, c *call, w *writer) error {
	handle := c.arguments.opaque(maxHandle)
	cookie, _, bound := c.arguments.uint64(), c.arguments.uint64(), c.arguments.uint32()
	return s.list(c, w, handle, cookie, bound, nil)
}

func readDirectoryPlus(s *Server, c *call, w *writer) error {
	handle := c.arguments.opaque(maxHandle)
	cookie, _, _, bound := c.arguments.uint64(), c.arguments.uint64(), c.arguments.uint32(), c.arguments.uint32()
	return s.list(c, w, handle, cookie, bound, describeEntry)
}

// list writes entries of a directory, from a cookie on, as many as fit bound bytes; extra
// adds to each.
func (s *Server) list(c *call, w *writer, handle []byte, cookie uint64, bound uint32, extra func(*writer, *node, string)) error {
	if c.arguments.bad {
		return errInvalid
	}
	n, err := s.find(handle)
	if err != nil {
		return err
	}
	defer n.close()
	if n.kind() == unix.S_IFDIR && !n.allows(c.caller, mayRead) {
		return errAccess
	}
	directory, err := n.openDirectory()
	if err != nil {
		return err
	}
	defer release(directory)
	if _, err := unix.Seek(directory, int64(cookie), unix.SEEK_SET); err != nil {
		return err
	}
	w.after(n)
	w.uint64(0) // the cookie verifier: cookies are always valid
	room := int(min(bound, maxList)) - listHeader
	written, ended := 0, false
	for buffer := make([]byte, 8<<10); room > 0 && !ended; {
		length, err := unix.Getdents(directory, buffer)
		if err != nil {
			return err
		}
		ended = length == 0
		for _, each := range parse(buffer[:length]) {
			size := entryHeader + len(each.name) + 3
			if extra != nil {
				size += entryExtra
			}
			if room -= size; room < 0 {
				break
			}
			w.entry(n, each)
			if extra != nil {
				extra(w, n, each.name)
			}
			written++
		}
	}
	if written == 0 && !ended {
		return errTooSmall
	}
	w.bool(false) // no more in this answer
	w.bool(ended && room >= 0)
	return nil
}

// entry writes what an entry has in both lists. The parent directory's inode is hidden:
// that of the export's root is outside the volume.
func (w *writer) entry(directory *node, each directoryEntry) {
	w.bool(true)
	if each.name == ".." {
		each.inode = directory.stat.Ino
	}
	w.uint64(each.inode)
	w.opaque([]byte(each.name))
	w.uint64(each.cookie)
}

// describeEntry adds attributes and a handle, or that there are none.
func describeEntry(w *writer, directory *node, name string) {
	if checkName(name) != nil { // "." and ".."
		w.uint64(0)
		return
	}
	child, err := directory.child(name)
	if err != nil {
		w.uint64(0)
		return
	}
	defer child.close()
	w.after(child)
	handle, err := child.export.handleOf(child.path)
	w.bool(err == nil)
	if err == nil {
		w.opaque(handle)
	}
}

// parse reads the buffer that getdents64(2) has filled.
func parse(buffer []byte) []directoryEntry {
	const inode, offset, length, text = 0, 8, 16, 19
	var entries []directoryEntry
	for len(buffer) > text {
		size := int(binary.NativeEndian.Uint16(buffer[length:]))
		if size <= text || size > len(buffer) {
			break
		}
		content, _, _ := bytes.Cut(buffer[text:size], []byte{0})
		entries = append(entries, directoryEntry{
			name: string(content), inode: binary.NativeEndian.Uint64(buffer[inode:]), cookie: binary.NativeEndian.Uint64(buffer[offset:]),
		})
		buffer = buffer[size:]
	}
	return entries
}
