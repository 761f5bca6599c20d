package nfs

import "golang.org/x/sys/unix"

// node reads a handle and opens what it names.
func (s *Server) node(c *call) (*node, error) {
	handle := c.arguments.opaque(maxHandle)
	if c.arguments.bad {
		return nil, errInvalid
	}
	return s.find(handle)
}

// place reads a directory's handle and a name in it.
func (s *Server) place(c *call) (*node, string, error) {
	handle, name := c.arguments.opaque(maxHandle), string(c.arguments.opaque(maxMountPath))
	if c.arguments.bad {
		return nil, "", errInvalid
	}
	directory, err := s.find(handle)
	return directory, name, err
}

func getAttributes(s *Server, c *call, w *writer) error {
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	w.attributes(n)
	return nil
}

func setAttributes(s *Server, c *call, w *writer) error {
	handle := c.arguments.opaque(maxHandle)
	wanted := c.arguments.setting()
	guarded := c.arguments.bool()
	var seconds, nanoseconds uint32
	if guarded {
		seconds, nanoseconds = c.arguments.uint32(), c.arguments.uint32()
	}
	if c.arguments.bad {
		return errInvalid
	}
	n, err := s.find(handle)
	if err != nil {
		return err
	}
	defer n.close()
	if guarded && (seconds != uint32(n.stat.Ctim.Sec) || nanoseconds != uint32(n.stat.Ctim.Nsec)) {
		return errNotSynchronous
	}
	if err := wanted.check(n, c.caller); err != nil {
		return err
	}
	if err := wanted.apply(n); err != nil {
		return err
	}
	w.changed(n)
	return nil
}

func lookUp(s *Server, c *call, w *writer) error {
	directory, name, err := s.place(c)
	if err != nil {
		return err
	}
	defer directory.close()
	if !directory.allows(c.caller, mayEnter) {
		return errAccess
	}
	if err := checkName(name); err != nil {
		return err
	}
	child, err := directory.child(name)
	if err != nil {
		return err
	}
	defer child.close()
	handle, err := child.export.handleOf(child.path)
	if err != nil {
		return err
	}
	w.opaque(handle)
	w.after(child)
	w.after(directory)
	return nil
}

// access answers which of the wanted permissions a caller has, as NFS's bits.
func access(s *Server, c *call, w *writer) error {
	const mayRead3, mayLookUp, mayModify, mayExtend, mayDelete, mayExecute = 1, 2, 4, 8, 16, 32
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	wanted, granted := c.arguments.uint32(), uint32(0)
	if n.allows(c.caller, mayRead) {
		granted |= mayRead3
	}
	if n.allows(c.caller, mayWrite) {
		granted |= mayModify | mayExtend | mayDelete
	}
	if n.allows(c.caller, mayEnter) {
		granted |= mayLookUp | mayExecute
	}
	w.after(n)
	w.uint32(wanted & granted)
	return nil
}

func readLink(s *Server, c *call, w *writer) error {
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	if n.kind() != unix.S_IFLNK {
		return errInvalid
	}
	target := make([]byte, unix.PathMax)
	length, err := unix.Readlinkat(n.path, "", target)
	if err != nil {
		return err
	}
	w.after(n)
	w.opaque(target[:length])
	return nil
}

// fileSystemState is FSSTAT: the room in the file system, or in a volume with a limit.
func fileSystemState(s *Server, c *call, w *writer) error {
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(n.export.root.Fd()), &stat); err != nil {
		return err
	}
	block := uint64(stat.Bsize)
	bytes, freeBytes, files, freeFiles := stat.Blocks*block, stat.Bavail*block, stat.Files, stat.Ffree
	state, limited, err := n.export.Quota.State()
	if err != nil {
		return err
	}
	if limited {
		bytes, freeBytes = uint64(state.MaxBytes), min(freeBytes, uint64(max(state.MaxBytes-state.Bytes, 0)))
		files, freeFiles = uint64(state.MaxFiles), min(freeFiles, uint64(max(state.MaxFiles-state.Files, 0)))
	}
	w.after(n)
	for _, amount := range []uint64{bytes, freeBytes, freeBytes, files, freeFiles, freeFiles} {
		w.uint64(amount)
	}
	w.uint32(0)
	return nil
}

// fileSystemInfo is FSINFO: the sizes of transfers.
func fileSystemInfo(s *Server, c *call, w *writer) error {
	const multiple, directoryBytes, hasLinks, hasSymlinks, isHomogeneous, setsTimes = 4096, 64 << 10, 1, 2, 8, 16
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	w.after(n)
	for _, size := range []uint32{maxTransfer, maxTransfer, multiple, maxTransfer, maxTransfer, multiple, directoryBytes} {
		w.uint32(size)
	}
	w.uint64(1<<63 - 1)
	w.uint64(1) // the resolution of times is a nanosecond
	w.uint32(hasLinks | hasSymlinks | isHomogeneous | setsTimes)
	return nil
}

// pathInfo is PATHCONF.
func pathInfo(s *Server, c *call, w *writer) error {
	const maxLinks = 32000
	n, err := s.node(c)
	if err != nil {
		return err
	}
	defer n.close()
	w.after(n)
	w.uint32(maxLinks)
	w.uint32(maxName)
	w.bool(true)  // longer names are refused
	w.bool(true)  // only root changes the owner of a file
	w.bool(false) // names differ by case
	w.bool(true)  // and keep it
	return nil
}
