package vmm

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MemoryFile is the file a guest's memory was mapped from, privately.
//
// A private mapping has the file's page until the first write; then the kernel gives
// the process an anonymous copy. The pages that changed since the file was mapped are
// therefore the anonymous ones, which /proc/PID/pagemap tells.
// Source: Documentation/admin-guide/mm/pagemap.rst in Linux.
type MemoryFile struct {
	path   string
	device uint64
	inode  uint64
	size   int64
}

// IdentifyMemory identifies the file that backs guest memory and checks its size.
func IdentifyMemory(path string, sizeMiB int) (MemoryFile, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return MemoryFile{}, fmt.Errorf("memory file %s: %w", path, err)
	}
	if want := int64(sizeMiB) << 20; stat.Size != want {
		return MemoryFile{}, fmt.Errorf("memory file %s has %d bytes, want %d", path, stat.Size, want)
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return MemoryFile{}, fmt.Errorf("memory file %s: %w", path, err)
	}
	return MemoryFile{path: resolved, device: stat.Dev, inode: stat.Ino, size: stat.Size}, nil
}

// Bits of a pagemap entry.
const (
	pageIsFile  = 1 << 61 // file page or shared memory: not a private copy
	pageSwapped = 1 << 62
	pagePresent = 1 << 63
)

const (
	pageBytes         = 4096
	pagemapEntryBytes = 8
	// copyBytes is the most that is copied between two checks of the context.
	copyBytes = 4 << 20
)

// mapping is a part of a process's address space that a file backs.
type mapping struct {
	start, end uint64 // addresses
	offset     int64  // in the file
	device     uint64
	inode      uint64
	path       string
}

// backs reports whether a mapping is of this file. On btrfs the device in
// /proc/PID/maps is not that of stat(2); there the path decides.
func (f MemoryFile) backs(m mapping) bool {
	return m.inode == f.inode && (m.device == f.device || m.path == f.path)
}

// IsMappedBy reports whether a process has mapped the file. No file backs the memory of
// some booted machines.
func (f MemoryFile) IsMappedBy(pid int) (bool, error) {
	found, _, err := f.findMappings(pid)
	return len(found) > 0, err
}

// WriteChanges writes every page that process pid changed into the file at
// path, which must already hold a copy of the memory the process started from.
func (f MemoryFile) WriteChanges(ctx context.Context, pid int, path string) error {
	mappings, err := f.mappings(pid)
	if err != nil {
		return err
	}
	target, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer target.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer memory.Close()
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		return err
	}
	defer pagemap.Close()

	writer := changeWriter{memory: memory, target: target, buffer: make([]byte, copyBytes)}
	for _, m := range mappings {
		if err := writer.copyMapping(ctx, pagemap, m); err != nil {
			return err
		}
	}
	return target.Close()
}

// mappings finds where the process mapped the file, and requires all of it.
func (f MemoryFile) mappings(pid int) ([]mapping, error) {
	found, covered, err := f.findMappings(pid)
	if err != nil {
		return nil, err
	}
	if covered != f.size {
		return nil, fmt.Errorf("process %d maps %d of the %d bytes of guest memory", pid, covered, f.size)
	}
	return found, nil
}

// findMappings returns the mappings of the file and the bytes they cover.
func (f MemoryFile) findMappings(pid int) (found []mapping, covered int64, err error) {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, 0, err
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		m, err := parseMapsLine(lines.Text())
		if err != nil {
			return nil, 0, err
		}
		if f.backs(m) {
			found = append(found, m)
			covered += int64(m.end - m.start)
		}
	}
	return found, covered, lines.Err()
}

// parseMapsLine reads "start-end perms offset major:minor inode path".
// Source: proc_pid_maps(5).
func parseMapsLine(line string) (mapping, error) {
	const beforePath = 5
	fields := strings.Fields(line)
	if len(fields) < beforePath {
		return mapping{}, fmt.Errorf("malformed memory map line %q", line)
	}
	start, end, _ := strings.Cut(fields[0], "-")
	major, minor, _ := strings.Cut(fields[3], ":")
	var numbers [5]uint64
	var err error
	for i, text := range []string{start, end, fields[2], major, minor} {
		if numbers[i], err = strconv.ParseUint(text, 16, 64); err != nil {
			return mapping{}, fmt.Errorf("malformed memory map line %q: %w", line, err)
		}
	}
	inode, err := strconv.ParseUint(fields[4], 10, 64)
	if err != nil {
		return mapping{}, fmt.Errorf("malformed memory map line %q: %w", line, err)
	}
	return mapping{
		start: numbers[0], end: numbers[1], offset: int64(numbers[2]),
		device: unix.Mkdev(uint32(numbers[3]), uint32(numbers[4])), inode: inode,
		path: strings.Join(fields[beforePath:], " "),
	}, nil
}

// changeWriter copies changed pages from a process's memory into a file.
type changeWriter struct {
	memory io.ReaderAt
	target *os.File
	buffer []byte
}

// copyMapping walks the page map of one mapping and copies each changed run.
func (w *changeWriter) copyMapping(ctx context.Context, pagemap io.ReaderAt, m mapping) error {
	const chunkPages = copyBytes / pageBytes
	entries := make([]byte, chunkPages*pagemapEntryBytes)
	for address := m.start; address < m.end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		pages := min(chunkPages, int((m.end-address)/pageBytes))
		chunk := entries[:pages*pagemapEntryBytes]
		if _, err := pagemap.ReadAt(chunk, int64(address/pageBytes*pagemapEntryBytes)); err != nil {
			return fmt.Errorf("read page map: %w", err)
		}
		for first, page := -1, 0; page <= pages; page++ {
			changed := page < pages && isChanged(binary.LittleEndian.Uint64(chunk[page*pagemapEntryBytes:]))
			switch {
			case changed && first < 0:
				first = page
			case !changed && first >= 0:
				runStart := address + uint64(first)*pageBytes
				if err := w.copyRun(runStart, m.offset+int64(runStart-m.start), (page-first)*pageBytes); err != nil {
					return err
				}
				first = -1
			}
		}
		address += uint64(pages) * pageBytes
	}
	return nil
}

func isChanged(entry uint64) bool {
	return entry&(pagePresent|pageSwapped) != 0 && entry&pageIsFile == 0
}

// copyRun copies length bytes, at most copyBytes, and punches holes for zero pages.
func (w *changeWriter) copyRun(address uint64, offset int64, length int) error {
	data := w.buffer[:length]
	if _, err := w.memory.ReadAt(data, int64(address)); err != nil {
		return fmt.Errorf("read guest memory: %w", err)
	}
	for start := 0; start < length; {
		zero := isZero(data[start : start+pageBytes])
		end := start + pageBytes
		for end < length && isZero(data[end:end+pageBytes]) == zero {
			end += pageBytes
		}
		if err := w.writeRun(data[start:end], offset+int64(start), zero); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (w *changeWriter) writeRun(data []byte, offset int64, zero bool) error {
	if zero {
		err := unix.Fallocate(int(w.target.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, int64(len(data)))
		if !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	_, err := w.target.WriteAt(data, offset)
	return err
}

func isZero(page []byte) bool {
	for len(page) >= 8 {
		if binary.LittleEndian.Uint64(page) != 0 {
			return false
		}
		page = page[8:]
	}
	return true
}
