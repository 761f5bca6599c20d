package firecracker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// wordsBytes is how much is kept of what a Firecracker and its guest's console
// say. What comes later is lost: a guest that floods its console costs this
// much memory and no more.
const wordsBytes = 64 << 10

// openWords makes the standard output of one Firecracker: a file in memory that
// cannot grow. It lives as long as somebody holds it open.
func openWords() (*os.File, error) {
	descriptor, err := unix.MemfdCreate("firecracker-words", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make Firecracker's output: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), "firecracker-words")
	err = file.Truncate(wordsBytes)
	if err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bound Firecracker's output: %w", err), file.Close())
	}
	return file, nil
}

// lastWords returns the end of what was said, for people.
func lastWords(words io.ReaderAt) string {
	const lastBytes = 1024
	content := make([]byte, wordsBytes)
	n, _ := words.ReadAt(content, 0)
	said := bytes.TrimSpace(bytes.TrimRight(content[:n], "\x00"))
	return strings.ToValidUTF8(string(said[max(0, len(said)-lastBytes):]), "?")
}
