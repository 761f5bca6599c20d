package filesystem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inotify reads changes of directories. The fsnotify library does not give what a recursive
// watch needs: unmounts, the watch of an event after its directory moved, and watches that
// do not follow links. Source: inotify(7).
type inotify struct {
	file   *os.File
	raw    syscall.RawConn
	buffer []byte
}

// change is one event of inotify; name is empty if it is about the watched directory
// itself.
type change struct {
	watch  int32
	mask   uint32
	cookie uint32 // the same in both halves of a rename
	name   string
}

const (
	// changeMask is for every directory, selfMask in addition for the root: the parents
	// of other directories report it.
	changeMask = unix.IN_CREATE | unix.IN_MODIFY | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
		unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK
	selfMask = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

	inotifyBufferBytes = 16 << 10
)

func openInotify() (*inotify, error) {
	descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return nil, fmt.Errorf("%w (open inotify: %w)", errTooManyWatchers, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), "inotify")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &inotify{file: file, raw: raw, buffer: make([]byte, inotifyBufferBytes)}, nil
}

// add watches a directory. A directory that is watched already keeps its number, even if
// it was moved.
func (i *inotify) add(path string, mask uint32) (watch int32, err error) {
	controlErr := i.raw.Control(func(descriptor uintptr) {
		var number int
		number, err = unix.InotifyAddWatch(int(descriptor), path, mask)
		watch = int32(number)
	})
	if controlErr != nil {
		return 0, controlErr
	}
	if errors.Is(err, unix.ENOSPC) {
		return 0, fmt.Errorf("%s: %w", path, errTooManyDirectories)
	}
	if err != nil {
		return 0, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return watch, nil
}

// remove ends a watch, if it has not ended.
func (i *inotify) remove(watch int32) {
	_ = i.raw.Control(func(descriptor uintptr) { _, _ = unix.InotifyRmWatch(int(descriptor), uint32(watch)) })
}

// read waits for changes. If there are none by the deadline, it fails with
// os.ErrDeadlineExceeded. drained: the kernel's queue was empty before them.
func (i *inotify) read() (changes []change, drained bool, err error) {
	var n int
	var readErr error
	tryRead := func(descriptor uintptr) bool {
		for {
			n, readErr = unix.Read(int(descriptor), i.buffer)
			if !errors.Is(readErr, unix.EINTR) {
				break
			}
		}
		drained = drained || errors.Is(readErr, unix.EAGAIN)
		return !errors.Is(readErr, unix.EAGAIN)
	}
	err = i.raw.Read(tryRead)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		var found bool
		if controlErr := i.raw.Control(func(descriptor uintptr) { found = tryRead(descriptor) }); controlErr != nil {
			return nil, drained, controlErr
		}
		if found {
			err = nil
		}
	}
	switch {
	case err != nil:
		return nil, drained, err
	case readErr != nil:
		return nil, drained, fmt.Errorf("read inotify: %w", readErr)
	}
	return parseChanges(i.buffer[:n]), drained, nil
}

// wakeAt sets the deadline of the current read and of later ones.
func (i *inotify) wakeAt(deadline time.Time) { _ = i.file.SetReadDeadline(deadline) }

func (i *inotify) close() { _ = i.file.Close() }

// parseChanges reads a buffer of struct inotify_event, each with a name padded by NUL
// bytes.
func parseChanges(buffer []byte) []change {
	var changes []change
	for len(buffer) >= unix.SizeofInotifyEvent {
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buffer[12:]))
		if size > len(buffer) {
			break
		}
		name, _, _ := strings.Cut(string(buffer[unix.SizeofInotifyEvent:size]), "\x00")
		changes = append(changes, change{
			watch:  int32(binary.NativeEndian.Uint32(buffer[0:])),
			mask:   binary.NativeEndian.Uint32(buffer[4:]),
			cookie: binary.NativeEndian.Uint32(buffer[8:]),
			name:   name,
		})
		buffer = buffer[size:]
	}
	return changes
}
