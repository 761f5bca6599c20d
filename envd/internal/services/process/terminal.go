package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// The default size of a terminal, that of a VT100.
const (
	defaultRows = 24
	defaultCols = 80
)

// openTerminal opens a pseudo-terminal: the master for envd, the slave for the command. The
// master is non-blocking, so deadlines work on it and its Fd method must not be called. The
// slave is blocking, as commands expect.
// Source: pty(7), ioctl_tty(2).
func openTerminal(size *pb.PTY_Size) (master, slave *os.File, err error) {
	opened, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	master = os.NewFile(uintptr(opened), "/dev/ptmx")
	var number uint32
	err = utils.WithDescriptor(master, func(descriptor int) (err error) {
		if err := unix.IoctlSetPointerInt(descriptor, unix.TIOCSPTLCK, 0); err != nil {
			return fmt.Errorf("unlock the terminal: %w", err)
		}
		number, err = unix.IoctlGetUint32(descriptor, unix.TIOCGPTN)
		return err
	})
	if err == nil {
		err = resizeTerminal(master, size)
	}
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	path := "/dev/pts/" + strconv.FormatUint(uint64(number), 10)
	opened, err = unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, errors.Join(&os.PathError{Op: "open", Path: path, Err: err}, master.Close())
	}
	return master, os.NewFile(uintptr(opened), path), nil
}

// resizeTerminal does not wait for pending reads or writes.
func resizeTerminal(master *os.File, size *pb.PTY_Size) error {
	err := utils.WithDescriptor(master, func(descriptor int) error {
		return unix.IoctlSetWinsize(descriptor, unix.TIOCSWINSZ, windowSize(size))
	})
	if err != nil {
		return fmt.Errorf("resize the terminal: %w", err)
	}
	return nil
}

// windowSize replaces 0 by the default, and limits sizes to the kernel's maximum.
func windowSize(size *pb.PTY_Size) *unix.Winsize {
	cells := func(value, byDefault uint32) uint16 {
		if value == 0 {
			value = byDefault
		}
		return uint16(min(value, 1<<16-1))
	}
	return &unix.Winsize{Row: cells(size.GetRows(), defaultRows), Col: cells(size.GetCols(), defaultCols)}
}
