package qemu

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// openWatch is the listener of a seccomp filter for openat calls with O_RDWR, by the
// thread that called watchOpens and by all that it starts. Each call waits for an
// answer; after close it fails.
// Source: Documentation/userspace-api/seccomp_filter.rst in Linux, on
// SECCOMP_RET_USER_NOTIF.
type openWatch struct {
	listener *os.File
}

// watchOpens installs the filter for the calling thread, which must have set
// no_new_privs.
func watchOpens() (*openWatch, error) {
	program, err := opensFilter()
	if err != nil {
		return nil, err
	}
	descriptor, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})))
	if errno == unix.EBUSY {
		return nil, fmt.Errorf("this container's own manager watches system calls already: turn that off: %w", errno)
	}
	if errno != 0 {
		return nil, errno
	}
	// Not blocking, the runtime waits for it.
	if err := unix.SetNonblock(int(descriptor), true); err != nil {
		return nil, errors.Join(err, unix.Close(int(descriptor)))
	}
	return &openWatch{listener: os.NewFile(descriptor, "opens")}, nil
}

// Offsets in struct seccomp_data.
const (
	callOffset         = 0
	architectureOffset = 4
	flagsOffset        = 32 // the low half of the third argument
	wordBytes          = 4
)

// opensFilter allows every call but those. A call by the numbers of another
// architecture, which QEMU never makes, kills the process.
func opensFilter() ([]unix.SockFilter, error) {
	architecture, found := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !found {
		return nil, fmt.Errorf("no system call numbers are known for %s", runtime.GOARCH)
	}
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: architectureOffset, Size: wordBytes},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: architecture, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: callOffset, Size: wordBytes},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_OPENAT, SkipTrue: 4},
		bpf.LoadAbsolute{Off: flagsOffset, Size: wordBytes},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: unix.O_ACCMODE},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.O_RDWR, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
	if err != nil {
		return nil, fmt.Errorf("assemble a filter of system calls: %w", err)
	}
	program := make([]unix.SockFilter, 0, len(raw))
	for _, instruction := range raw {
		program = append(program, unix.SockFilter{Code: instruction.Op, Jt: instruction.Jt, Jf: instruction.Jf, K: instruction.K})
	}
	return program, nil
}

// Structures of linux/seccomp.h; the first includes struct seccomp_data.
type (
	notification struct {
		id           uint64
		thread       uint32
		_            uint32
		call         int32
		architecture uint32
		_            uint64
		arguments    [6]uint64
	}
	answer struct {
		id     uint64
		result int64
		errno  int32
		flags  uint32
	}
	addition struct {
		id          uint64
		flags       uint32
		source      uint32
		target      uint32
		targetFlags uint32
	}
)

// Requests of linux/seccomp.h that x/sys lacks.
const (
	notificationIsValid = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID
	addDescriptor       = 0x40182103 // SECCOMP_IOCTL_NOTIF_ADDFD
)

// errNoMoreOpens is returned by next when no process with the filter is left.
var errNoMoreOpens = errors.New("all processes with the filter have ended")

// next waits for the next call, until o is closed.
func (o *openWatch) next() (n notification, err error) {
	connection, err := o.listener.SyscallConn()
	if err != nil {
		return notification{}, err
	}
	waitErr := connection.Read(func(descriptor uintptr) bool {
		for {
			polled := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
			if count, err := unix.Poll(polled, 0); err != nil || count == 0 {
				return false
			}
			if polled[0].Revents&unix.POLLIN == 0 {
				err = errNoMoreOpens
				return true
			}
			n = notification{} // the kernel requires zeroes
			err = ioctl(descriptor, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n))
			if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINTR) {
				return true
			}
			// The thread has ended; there may be others.
		}
	})
	return n, errors.Join(waitErr, err)
}

// path reads the path of a call from the memory of its thread.
func (o *openWatch) path(n notification) (string, error) {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", n.thread))
	if err != nil {
		return "", err
	}
	defer memory.Close()
	// Only a thread that still waits has the number whose memory was opened.
	if err := o.control(notificationIsValid, unsafe.Pointer(&n.id)); err != nil {
		return "", err
	}
	buffer := make([]byte, unix.PathMax)
	length, err := memory.ReadAt(buffer, int64(n.arguments[1]))
	if length == 0 {
		return "", err
	}
	return unix.ByteSliceToString(buffer[:length]), nil
}

// allow lets the kernel carry the call out.
func (o *openWatch) allow(n notification) error {
	return o.control(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}))
}

// answerWith makes the call return a file that this process opened.
func (o *openWatch) answerWith(n notification, file *os.File) error {
	connection, err := o.listener.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = connection.Control(func(descriptor uintptr) {
		given := addition{id: n.id, source: uint32(file.Fd()), targetFlags: unix.O_CLOEXEC}
		number, _, errno := unix.Syscall(unix.SYS_IOCTL, descriptor, addDescriptor, uintptr(unsafe.Pointer(&given)))
		if errno != 0 {
			sendErr = errno
			return
		}
		sendErr = ioctl(descriptor, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer{id: n.id, result: int64(number)}))
	})
	return errors.Join(err, sendErr)
}

func (o *openWatch) control(request uintptr, argument unsafe.Pointer) error {
	connection, err := o.listener.SyscallConn()
	if err != nil {
		return err
	}
	var controlErr error
	err = connection.Control(func(descriptor uintptr) { controlErr = ioctl(descriptor, request, argument) })
	return errors.Join(err, controlErr)
}

func ioctl(descriptor, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, descriptor, request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

func (o *openWatch) close() { o.listener.Close() }
