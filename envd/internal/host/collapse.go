package host

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Collapsed is the result of Collapse, with the names of the protocol. Chunks are
// hugePageBytes long.
type Collapsed struct {
	Regions     int   `json:"regions"`
	Chunks      int   `json:"chunks"`
	Collapsed   int   `json:"collapsed"`
	AlreadyHuge int   `json:"alreadyHuge"`
	Skipped     int   `json:"skipped"` // less than half in use, or refused by the kernel
	ElapsedMs   int64 `json:"elapsedMs"`
}

const (
	hugePageBytes = 2 << 20
	// adviseCollapse is MADV_COLLAPSE of linux/mman.h, since Linux 6.1.
	adviseCollapse = 25
)

// Collapse collapses this process's memory into huge pages, so that after a restore one
// page fault replaces hundreds.
func Collapse() (Collapsed, error) {
	began := time.Now()
	regions, err := heapRegions()
	if err != nil {
		return Collapsed{}, err
	}
	result := Collapsed{Regions: len(regions)}
	var hugeBefore uint64
	for _, region := range regions {
		hugeBefore += region.Huge
		for start := roundUp(region.Start); start+hugePageBytes <= region.End; start += hugePageBytes {
			result.Chunks++
			if collapseChunk(uintptr(start)) {
				result.Collapsed++
			} else {
				result.Skipped++
			}
		}
	}
	// The kernel reports success for chunks that were huge before, too.
	result.AlreadyHuge = min(int(hugeBefore/hugePageBytes), result.Collapsed)
	result.Collapsed -= result.AlreadyHuge
	result.ElapsedMs = time.Since(began).Milliseconds()
	return result, nil
}

func heapRegions() ([]mapping, error) {
	file, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, fmt.Errorf("collapse memory: %w", err)
	}
	defer file.Close()
	all, err := parseMappings(file)
	if err != nil {
		return nil, fmt.Errorf("collapse memory: %w", err)
	}
	var heap []mapping
	for _, region := range all {
		if region.isAnonymous() && region.Permissions == "rw-p" && region.Resident > 0 && region.End-roundUp(region.Start) >= hugePageBytes {
			heap = append(heap, region)
		}
	}
	return heap, nil
}

// collapseChunk skips chunks less than half in use, whose collapse would take more memory
// than they have. The kernel refuses if it has no free huge page or is older than 6.1.
func collapseChunk(start uintptr) bool {
	resident := make([]byte, hugePageBytes/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, start, hugePageBytes, uintptr(unsafe.Pointer(&resident[0]))); errno != 0 {
		return false // the runtime has unmapped the chunk
	}
	used := 0
	for _, page := range resident {
		used += int(page & 1)
	}
	if used < len(resident)/2 {
		return false
	}
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, start, hugePageBytes, adviseCollapse)
	return errno == 0
}

func roundUp(address uint64) uint64 {
	return (address + hugePageBytes - 1) &^ (hugePageBytes - 1)
}
