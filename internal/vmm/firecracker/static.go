package firecracker

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// ErrNotStatic is the error of a firecracker that needs a dynamic loader or an
// interpreter. Its jail contains neither, and exec would fail there with "No such
// file or directory" although the program exists.
var ErrNotStatic = errors.New("the jail can run only a statically linked program")

// checkStatic returns ErrNotStatic unless the file is a statically linked ELF
// program: one without a PT_INTERP segment, which names the dynamic loader.
// Source: elf(5).
func checkStatic(path string) error {
	program, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s is not an ELF program: %w", path, ErrNotStatic)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = program.Close() }()
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is dynamically linked: %w", path, ErrNotStatic)
		}
	}
	return nil
}
