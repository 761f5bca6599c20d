package disk

import (
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fiemapRequest is _IOWR('f', 11, struct fiemap) of linux/fs.h, which x/sys lacks.
const fiemapRequest = 0xc020660b

// Flags of linux/fiemap.h.
const (
	fiemapSync          = 0x1 // of a request: write out the file first
	fiemapExtentLast    = 0x1
	fiemapExtentUnknown = 0x2 // it has no place on the disk yet
)

// fiemapExtent is struct fiemap_extent of linux/fiemap.h.
type fiemapExtent struct {
	logical, physical, length uint64
	_                         [2]uint64
	flags                     uint32
	_                         [3]uint32
}

// fiemapBatch is how many extents one request returns.
const fiemapBatch = 512

// fiemap is struct fiemap of linux/fiemap.h with room for extents.
type fiemap struct {
	start, length             uint64
	flags, mapped, extents, _ uint32
	extent                    [fiemapBatch]fiemapExtent
}

// span is a range of bytes of the disk that a file is on.
type span struct{ start, end uint64 }

// OwnBytes is how many bytes of the disk a file takes that another does not: what a clone
// has changed. An empty other is a file without any.
func OwnBytes(path, other string) (int64, error) {
	mine, err := spans(path)
	if err != nil {
		return 0, err
	}
	var theirs []span
	if other != "" {
		if theirs, err = spans(other); err != nil {
			return 0, err
		}
	}
	return without(mine, theirs), nil
}

// UsedBytes is how many bytes of the disk files take together: what they share counts once.
// All are on one file system.
func UsedBytes(paths ...string) (int64, error) {
	var all []span
	for _, path := range paths {
		found, err := spans(path)
		if err != nil {
			return 0, err
		}
		all = append(all, found...)
	}
	return without(joined(all), nil), nil
}

// without is the length of the spans in mine that are not in theirs. Both are in order and
// do not overlap themselves.
func without(mine, theirs []span) int64 {
	var own uint64
	next := 0
	for _, m := range mine {
		for next < len(theirs) && theirs[next].end <= m.start {
			next++
		}
		at := m.start
		for i := next; i < len(theirs) && theirs[i].start < m.end; i++ {
			if theirs[i].start > at {
				own += theirs[i].start - at
			}
			at = max(at, theirs[i].end)
		}
		if at < m.end {
			own += m.end - at
		}
	}
	return int64(own)
}

// spans are where a file's content is on the disk, in order and joined.
func spans(path string) ([]span, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	defer file.Close()
	var found []span
	request := &fiemap{flags: fiemapSync, extents: fiemapBatch}
	for last := false; !last; {
		request.length = ^uint64(0) - request.start
		//nolint:gosec // the kernel fills the structure
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), fiemapRequest, uintptr(unsafe.Pointer(request))); errno != 0 {
			return nil, fmt.Errorf("map %s: %w", path, errno)
		}
		if request.mapped == 0 {
			break
		}
		for _, extent := range request.extent[:min(request.mapped, fiemapBatch)] {
			if extent.flags&fiemapExtentUnknown == 0 {
				found = append(found, span{extent.physical, extent.physical + extent.length})
			}
			request.start = extent.logical + extent.length
			last = extent.flags&fiemapExtentLast != 0
		}
	}
	return joined(found), nil
}

// joined sorts spans and joins those that touch or overlap.
func joined(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.start < b.start:
			return -1
		case a.start > b.start:
			return 1
		default:
			return 0
		}
	})
	var out []span
	for _, s := range spans {
		if len(out) > 0 && s.start <= out[len(out)-1].end {
			out[len(out)-1].end = max(out[len(out)-1].end, s.end)
			continue
		}
		out = append(out, s)
	}
	return out
}
