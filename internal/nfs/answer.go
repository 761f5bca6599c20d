package nfs

import (
	"fmt"
	"runtime/debug"
)

// Programs and their version.
const (
	nfsProgram     = 100003
	mountProgram   = 100005
	servedVersion  = 3
	numberOfNull   = 0
	numberOfMount  = 1
	numberOfDump   = 2
	numberOfUmount = 3
	numberOfAll    = 4
	numberOfList   = 5
)

// procedure answers one kind of call. When run returns an error, what it has written is
// dropped: the answer is the error's status and what failed writes.
type procedure struct {
	run    func(s *Server, c *call, w *writer) error
	failed func(w *writer)
}

// Failed answers contain no attributes.
func nothing(*writer)        {}
func noAttributes(w *writer) { w.uint32(0) }
func noChange(w *writer)     { w.uint64(0) }
func noChanges(w *writer)    { w.uint64(0); w.uint64(0) }
func noLinkChange(w *writer) { w.uint32(0); w.uint64(0) }

// procedures are NFS's, by their numbers.
var procedures = map[uint32]procedure{
	1:  {getAttributes, nothing},
	2:  {setAttributes, noChange},
	3:  {lookUp, noAttributes},
	4:  {access, noAttributes},
	5:  {readLink, noAttributes},
	6:  {read, noAttributes},
	7:  {write, noChange},
	8:  {create, noChange},
	9:  {makeDirectory, noChange},
	10: {makeLink, noChange},
	11: {makeNode, noChange},
	12: {removeFile, noChange},
	13: {removeDirectory, noChange},
	14: {rename, noChanges},
	15: {link, noLinkChange},
	16: {readDirectory, noAttributes},
	17: {readDirectoryPlus, noAttributes},
	18: {fileSystemState, noAttributes},
	19: {fileSystemInfo, noAttributes},
	20: {pathInfo, noAttributes},
	21: {commit, noChange},
}

// answer runs the call in a message; nil for a message that is no call.
func (s *Server) answer(message []byte) (answer *writer) {
	c, understood := readCall(message)
	if !understood {
		return nil
	}
	defer func() {
		// A panic fails this call only: other sandboxes use the same process.
		if failure := recover(); failure != nil {
			s.log.Error("a call of a volume's client panicked", "panic", fmt.Sprint(failure), "stack", string(debug.Stack()))
			answer = answerTo(c.id, systemError)
		}
	}()
	switch {
	case c.rpcMismatch:
		return refuseVersion(c.id)
	case c.program != nfsProgram && c.program != mountProgram:
		return answerTo(c.id, programUnknown)
	case c.version != servedVersion:
		w := answerTo(c.id, versionUnknown)
		w.uint32(servedVersion)
		w.uint32(servedVersion)
		return w
	case c.procedure == numberOfNull:
		return answerTo(c.id, acceptSuccess)
	case c.program == mountProgram:
		return s.answerMount(&c)
	default:
		return s.answerFile(&c)
	}
}

func (s *Server) answerFile(c *call) *writer {
	procedure, known := procedures[c.procedure]
	if !known {
		return answerTo(c.id, procedureUnknown)
	}
	w := answerTo(c.id, acceptSuccess)
	begin := len(w.buffer)
	w.uint32(uint32(errNone))
	err := procedure.run(s, c, w)
	if c.arguments.bad {
		s.notices.Warn("the guest sends malformed calls to its volumes", "procedure", c.procedure)
		return answerTo(c.id, garbageArguments)
	}
	if err != nil {
		if statusOf(err) == errIO {
			s.notices.Warn("a call of a volume's client failed", "procedure", c.procedure, "error", err)
		}
		w.buffer = w.buffer[:begin]
		w.uint32(uint32(statusOf(err)))
		procedure.failed(w)
	}
	return w
}

// maxMountPath is MNTPATHLEN.
const maxMountPath = 1024

func (s *Server) answerMount(c *call) *writer {
	w := answerTo(c.id, acceptSuccess)
	switch c.procedure {
	case numberOfMount:
		name := string(c.arguments.opaque(maxMountPath))
		s.mount(w, name)
	case numberOfDump, numberOfList:
		w.uint32(0) // an empty list
	case numberOfUmount, numberOfAll:
	default:
		return answerTo(c.id, procedureUnknown)
	}
	return w
}

func (s *Server) mount(w *writer, name string) {
	begin := len(w.buffer)
	w.uint32(uint32(errNone))
	export, known := s.byName[trimSlash(name)]
	err := error(errNotFound)
	if known {
		var handle []byte
		if handle, err = export.handleOf(int(export.root.Fd())); err == nil {
			w.opaque(handle)
			w.uint32(1)
			w.uint32(authSys)
			return
		}
		s.log.Error("mount a volume", "volume", export.Name, "error", err)
	}
	w.buffer = w.buffer[:begin]
	w.uint32(uint32(statusOf(err)))
}

func trimSlash(name string) string {
	if name != "" && name[0] == '/' {
		return name[1:]
	}
	return name
}
