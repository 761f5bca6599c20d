package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// maxSessionSweeps bounds the looks at /proc that killSession takes: what was
// not found yet can fork before it is.
const maxSessionSweeps = 100

// killSession ends every process of a session. One that began a session of its
// own has left the terminal on purpose and is spared. The caller keeps the
// session's leader from being reaped, so that no other session gets its number.
func killSession(session id.Process) error {
	killed := make(map[id.Process]struct{})
	for range maxSessionSweeps {
		before := len(killed)
		if err := sweepSession(session, killed); err != nil {
			return err
		}
		if len(killed) == before {
			return nil
		}
	}
	return fmt.Errorf("processes of session %d start faster than they end", session)
}

// sweepSession kills every process of the session that is not among the killed
// yet, and adds it to them.
func sweepSession(session id.Process, killed map[id.Process]struct{}) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("look for processes: %w", err)
	}
	for _, entry := range entries {
		pid, err := id.ParseProcess(entry.Name())
		if err != nil {
			continue
		}
		if _, done := killed[pid]; !done && killMember(pid, session) {
			killed[pid] = struct{}{}
		}
	}
	return nil
}

// killMember reports whether the process is one of the session. It holds on to
// the process before it looks, because numbers pass to others.
func killMember(pid, session id.Process) bool {
	if of, err := unix.Getsid(int(pid)); err != nil || id.Process(of) != session {
		return false
	}
	process, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(process) }()
	if of, err := unix.Getsid(int(pid)); err != nil || id.Process(of) != session {
		return false
	}
	return unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0) == nil
}
