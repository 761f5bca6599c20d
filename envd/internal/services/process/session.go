package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/id"
)

// maxSessionSweeps bounds how often killSession reads /proc: processes can fork before they
// are found.
const maxSessionSweeps = 100

// killSession kills every process of a session. A process that began a session of its own
// has detached from the terminal and is not killed. The caller prevents the reaping of the
// session's leader, so that no other session can have its number.
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

// sweepSession kills the session's processes that are not in killed, and adds them to it.
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

// killMember kills a process if it is of the session, and reports that. It opens a pidfd
// before the second check, because another process can get the number.
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
