package gvisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// deviceState is the file of devices: a line of JSON, then the kernel's state and the list
// of pages that the memory file has.
type deviceState struct {
	// VCPUCount and MemoryMiB are those of the machine.
	VCPUCount int `json:"vcpuCount"`
	MemoryMiB int `json:"memoryMiB"`
	// MemoryBytes is the size of the memory file.
	MemoryBytes int64 `json:"memoryBytes"`
	// StateBytes and PagesBytes are the sizes of the two parts, and Sum is of both.
	StateBytes int64  `json:"stateBytes"`
	PagesBytes int64  `json:"pagesBytes"`
	Sum        uint32 `json:"sum"`
}

// maxHeaderBytes bounds the line of JSON.
const maxHeaderBytes = 4096

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openScratch makes a file in memory, which is gone when it is closed.
func openScratch(name string) (*os.File, error) {
	descriptor, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(descriptor), name), nil
}

// writeDevices writes the file of devices. It fills in the sizes and the sum of the parts.
func writeDevices(path string, header deviceState, state, pages *os.File) (err error) {
	sum := crc32.New(castagnoli)
	for _, part := range []struct {
		file  *os.File
		bytes *int64
	}{{state, &header.StateBytes}, {pages, &header.PagesBytes}} {
		if _, err := part.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if *part.bytes, err = io.Copy(sum, part.file); err != nil {
			return err
		}
	}
	header.Sum = sum.Sum32()
	line, err := json.Marshal(header)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(append(line, '\n')); err != nil {
		return err
	}
	for _, part := range []*os.File{state, pages} {
		if _, err := part.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(file, part); err != nil {
			return err
		}
	}
	return nil
}

// errBroken is returned for a file of devices that is not whole.
var errBroken = errors.New("it is not whole")

// readDevices reads a file of devices into two files in memory, each at its beginning.
func readDevices(path string) (header deviceState, state, pages *os.File, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read the state of devices %s: %w", path, err)
			closeAll(state, pages)
			state, pages = nil, nil
		}
	}()
	file, err := os.Open(path)
	if err != nil {
		return header, nil, nil, err
	}
	defer file.Close()
	if header, err = readHeader(file); err != nil {
		return header, nil, nil, err
	}
	sum := crc32.New(castagnoli)
	content := io.TeeReader(file, sum)
	if state, err = readPart(content, "state", header.StateBytes); err != nil {
		return header, state, pages, err
	}
	if pages, err = readPart(content, "pages", header.PagesBytes); err != nil {
		return header, state, pages, err
	}
	if sum.Sum32() != header.Sum {
		return header, state, pages, errBroken
	}
	return header, state, pages, nil
}

// readHeader reads the line of JSON, and leaves the file at what follows it.
func readHeader(file io.ReadSeeker) (header deviceState, err error) {
	begin := make([]byte, maxHeaderBytes)
	count, err := io.ReadFull(file, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return header, errors.Join(errBroken, err)
	}
	for i, char := range begin[:count] {
		if char != '\n' {
			continue
		}
		if err := json.Unmarshal(begin[:i], &header); err != nil {
			return header, errors.Join(errBroken, err)
		}
		if header.StateBytes <= 0 || header.PagesBytes <= 0 {
			return header, errBroken
		}
		_, err := file.Seek(int64(i)+1, io.SeekStart)
		return header, err
	}
	return header, errBroken
}

func readPart(content io.Reader, name string, bytes int64) (*os.File, error) {
	part, err := openScratch(name)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(part, content, bytes); err != nil {
		return part, errors.Join(errBroken, err)
	}
	_, err = part.Seek(0, io.SeekStart)
	return part, err
}

func closeAll(files ...*os.File) {
	for _, file := range files {
		if file != nil {
			file.Close()
		}
	}
}
