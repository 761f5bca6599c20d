package vmm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// outputBytes is how much is kept of what a VMM and its guest's console print. What
// comes later is lost, so a guest that floods its console costs no more memory.
const outputBytes = 64 << 10

// OpenOutput makes the standard output of one VMM: a file in memory that cannot grow.
// It is freed when the VMM and this process have closed it.
func OpenOutput() (*os.File, error) {
	const name = "vmm-output"
	descriptor, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make a VMM's output: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), name)
	err = file.Truncate(outputBytes)
	if err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bound a VMM's output: %w", err), file.Close())
	}
	return file, nil
}

// OutputEnd returns the last 1 KiB of a VMM's output, for error messages; "nothing" if
// there is none.
func OutputEnd(output io.ReaderAt) string {
	const lastBytes = 1024
	content := make([]byte, outputBytes)
	n, _ := output.ReadAt(content, 0)
	printed := bytes.TrimSpace(bytes.TrimRight(content[:n], "\x00"))
	if len(printed) == 0 {
		return "nothing"
	}
	return strings.ToValidUTF8(string(printed[max(0, len(printed)-lastBytes):]), "?")
}
