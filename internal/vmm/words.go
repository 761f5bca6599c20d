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

// wordsBytes is how much is kept of what a VMM and its guest's console say. What
// comes later is lost: a guest that floods its console costs this much memory
// and no more.
const wordsBytes = 64 << 10

// OpenWords makes the standard output of one VMM: a file in memory that cannot
// grow. It lives as long as somebody holds it open.
func OpenWords() (*os.File, error) {
	const name = "vmm-words"
	descriptor, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make a VMM's output: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), name)
	err = file.Truncate(wordsBytes)
	if err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bound a VMM's output: %w", err), file.Close())
	}
	return file, nil
}

// LastWords returns the end of what was said, for people; "nothing" for that.
func LastWords(words io.ReaderAt) string {
	const lastBytes = 1024
	content := make([]byte, wordsBytes)
	n, _ := words.ReadAt(content, 0)
	said := bytes.TrimSpace(bytes.TrimRight(content[:n], "\x00"))
	if len(said) == 0 {
		return "nothing"
	}
	return strings.ToValidUTF8(string(said[max(0, len(said)-lastBytes):]), "?")
}
