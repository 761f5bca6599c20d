package permissions

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Do runs work with the user's permissions on files: the kernel checks every
// path as if the user's own process asked, and new files are the user's. Only
// the one thread changes, and it is thrown away afterwards.
//
// work must not start goroutines that touch files: they would be root's.
func (u *User) Do(work func() error) error {
	if os.Geteuid() != 0 || u.UID == 0 {
		return work()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := u.assume(); err != nil {
			result <- err
			return
		}
		result <- work()
	}()
	return <-result
}

// assume changes the calling thread alone, which is why it makes the system
// calls itself: Go's own wrappers change all threads.
// Source: setfsuid(2), credentials(7).
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
	return nil
}
