package nfs

import "slices"

// Constants of ONC RPC, version 2 (RFC 5531).
const (
	rpcVersion    = 2
	messageCall   = 0
	messageReply  = 1
	replyAccepted = 0
	replyDenied   = 1
	rpcMismatch   = 0
	authSys       = 1

	acceptSuccess    = 0
	programUnknown   = 1
	versionUnknown   = 2
	procedureUnknown = 3
	garbageArguments = 4
	systemError      = 5

	maxCredential = 400
	maxMachine    = 255
	maxGroups     = 16
	maxVerifier   = 400
)

// nobody is the user and group of a call without credentials.
const nobody = 65534

// caller is the user for whom a guest's kernel makes a call. It is believed: root in the
// guest, who could forge it, may change the whole volume anyway.
type caller struct {
	uid, gid uint32
	groups   []uint32
}

func (c caller) in(group uint32) bool { return c.gid == group || slices.Contains(c.groups, group) }

// call is one request.
type call struct {
	id                          uint32
	program, version, procedure uint32
	caller                      caller
	rpcMismatch                 bool
	arguments                   reader
}

// readCall reads the header of a message; false for a message that is no call.
func readCall(message []byte) (call, bool) {
	r := reader{rest: message}
	c := call{id: r.uint32()}
	if r.uint32() != messageCall || r.bad {
		return c, false
	}
	c.rpcMismatch = r.uint32() != rpcVersion
	c.program, c.version, c.procedure = r.uint32(), r.uint32(), r.uint32()
	flavour, credential := r.uint32(), r.opaque(maxCredential)
	r.uint32()
	r.opaque(maxVerifier)
	c.caller = caller{uid: nobody, gid: nobody}
	if flavour == authSys {
		c.caller = readCaller(reader{rest: credential})
	}
	c.arguments = r
	return c, !r.bad
}

func readCaller(r reader) caller {
	r.uint32() // the stamp
	r.opaque(maxMachine)
	c := caller{uid: r.uint32(), gid: r.uint32()}
	for range min(r.uint32(), maxGroups) {
		c.groups = append(c.groups, r.uint32())
	}
	if r.bad {
		return caller{uid: nobody, gid: nobody}
	}
	return c
}

// answerTo begins the answer to an accepted call.
func answerTo(id, status uint32) *writer {
	w := &writer{}
	w.uint32(id)
	w.uint32(messageReply)
	w.uint32(replyAccepted)
	w.uint64(0) // no verifier
	w.uint32(status)
	return w
}

func refuseVersion(id uint32) *writer {
	w := &writer{}
	for _, word := range []uint32{id, messageReply, replyDenied, rpcMismatch, rpcVersion, rpcVersion} {
		w.uint32(word)
	}
	return w
}
