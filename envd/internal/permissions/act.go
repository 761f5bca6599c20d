package permissions

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The main thread cannot be thrown away, and stands for the whole program in
// /proc. Held by the main goroutine, it does nobody's work.
func init() { runtime.LockOSThread() }

// errEndedEarly is returned when work ends its goroutine instead of returning.
var errEndedEarly = errors.New("the work ended without a result")

// Do runs work with the user's permissions on files: the kernel checks every
// path as if the user's own process asked, and new files are the user's. Only
// the one thread changes, and it is thrown away afterwards. A panic of work
// becomes the caller's, who may be able to survive it.
//
// work must not start goroutines that touch files: they would be root's. Nor
// should it wait for a client: Go ends the program when it has 10,000 threads.
func (u *User) Do(work func() error) error {
	if os.Geteuid() != 0 || u.UID == 0 {
		return work()
	}
	ended := outcome{err: errEndedEarly}
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		defer close(done)
		defer func() { ended.panicked = recover() }()
		if ended.err = u.assume(); ended.err == nil {
			ended.err = errEndedEarly
			ended.err = work()
		}
	}()
	<-done
	if ended.panicked != nil {
		panic(ended.panicked)
	}
	return ended.err
}

type outcome struct {
	err      error
	panicked any
}

// assume changes the calling thread alone, which is why it makes the system
// calls itself: Go's own wrappers change all threads.
// Source: setfsuid(2), credentials(7), capset(2).
func (u *User) assume() error {
	groups := append([]uint32{u.GID}, u.Groups...)
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0)
	if errno != 0 {
		return fmt.Errorf("act as %s: set groups: %w", u.Name, errno)
	}
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSGID, uintptr(u.GID), 0, 0)
	_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, uintptr(u.UID), 0, 0)
	// Both answer with the previous ID, never with an error: ask again.
	if now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, uintptr(u.UID), 0, 0); uint32(now) != u.UID {
		return fmt.Errorf("act as %s: the thread is still user %d", u.Name, now)
	}
	// The change took away what lets root pass over a file's mode, but not what
	// lets it look into other processes through /proc, or exceed a quota.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno = unix.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return fmt.Errorf("act as %s: drop capabilities: %w", u.Name, errno)
	}
	return nil
}
