package nfs

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// name is an entry of a directory. Its cookie is the kernel's own, which is good
// for as long as the directory is there: no list has to be remembered.
type name struct {
	text   string
	inode  uint64
	cookie uint64
}

// sizes of what a list is made of, in bytes.
const (
	maxList     = 64 << 10
	listHeader  = 128 // status, attributes, verifier, and the end
	entryHeader = 24  // whether there is one, its number, the name's length, cookie
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

// list writes a part of a directory's entries, from a cookie on, each with what
// extra adds.
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
	w.uint64(0) // cookies are always good
	room := int(min(bound, maxList)) - listHeader
	written, ended := 0, false
	for buffer := make([]byte, 8<<10); room > 0 && !ended; {
		length, err := unix.Getdents(directory, buffer)
		if err != nil {
			return err
		}
		ended = length == 0
		for _, each := range parse(buffer[:length]) {
			size := entryHeader + len(each.text) + 3
			if extra != nil {
				size += entryExtra
			}
			if room -= size; room < 0 {
				break
			}
			w.entry(n, each)
			if extra != nil {
				extra(w, n, each.text)
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

// entry writes the part of an entry that all lists have. What is above a directory
// is not told: for the export's own it would be none of the client's business.
func (w *writer) entry(directory *node, each name) {
	w.bool(true)
	if each.text == ".." {
		each.inode = directory.stat.Ino
	}
	w.uint64(each.inode)
	w.opaque([]byte(each.text))
	w.uint64(each.cookie)
}

// describeEntry adds attributes and a handle, or says that there are none.
func describeEntry(w *writer, directory *node, text string) {
	if checkName(text) != nil { // the directory itself and what is above
		w.uint64(0)
		return
	}
	found, err := directory.child(text)
	if err != nil {
		w.uint64(0)
		return
	}
	defer found.close()
	w.after(found)
	handle, err := found.export.handleOf(found.path)
	w.bool(err == nil)
	if err == nil {
		w.opaque(handle)
	}
}

// parse takes apart what getdents64(2) fills in.
func parse(buffer []byte) []name {
	const inode, offset, length, text = 0, 8, 16, 19
	var names []name
	for len(buffer) > text {
		size := int(binary.NativeEndian.Uint16(buffer[length:]))
		if size <= text || size > len(buffer) {
			break
		}
		content, _, _ := bytes.Cut(buffer[text:size], []byte{0})
		names = append(names, name{
			text: string(content), inode: binary.NativeEndian.Uint64(buffer[inode:]), cookie: binary.NativeEndian.Uint64(buffer[offset:]),
		})
		buffer = buffer[size:]
	}
	return names
}
