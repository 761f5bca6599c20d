package upkeep

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
)

// Writer is a sandbox whose guest can be stopped while it writes.
type Writer interface {
	// Held reports whether the guest is held; runs is false unless the sandbox runs.
	Held() (held, runs bool)
	// WrittenSince is how many bytes its VM has written to the host's disks.
	WrittenSince(at time.Time) uint64
	// Hold stops the guest's virtual CPUs; Unhold starts them again. Neither does
	// anything while an operation is under way. freeBytes is for the log.
	Hold(ctx context.Context, freeBytes uint64)
	Unhold(ctx context.Context)
}

// DiskGuard keeps the last free space of the host's disks for pauses, records and the
// database. When little is left it stops the guests that write, until there is more;
// other guests run on. Without it, one guest's writes would make every other guest's
// fail; and a file system in a file, on a disk that fills up, would lose writes that it
// has acknowledged.
type DiskGuard struct {
	// ReserveBytes is the free space that admission keeps; zero turns the guard off.
	ReserveBytes uint64
	// Directories are on the disks that are watched.
	Directories []string
	Log         *slog.Logger
}

const (
	// guardEvery is how often the free space is measured.
	guardEvery = 500 * time.Millisecond
	// A guest writes if it has written more than this many bytes within this time.
	writingBytes  = 1 << 20
	writingWithin = 3 * time.Second
)

// marks are the free space below which writing guests are stopped, half of the reserve,
// and above which they continue, three quarters.
func (g DiskGuard) marks() (low, high uint64) {
	const parts, lowParts, highParts = 4, 2, 3
	return g.ReserveBytes / parts * lowParts, g.ReserveBytes / parts * highParts
}

// check stops guests or lets them continue, by the free space.
func (g DiskGuard) check(ctx context.Context, sandboxes iter.Seq[Sandbox]) {
	low, high := g.marks()
	if low == 0 {
		return
	}
	free, err := leastFree(g.Directories)
	if err != nil {
		g.Log.ErrorContext(ctx, "measure the free space of the host's disks", "error", err)
		return
	}
	for s := range sandboxes {
		held, runs := s.Held()
		switch {
		case !runs || ctx.Err() != nil:
		case !held && free < low && s.WrittenSince(time.Now().Add(-writingWithin)) > writingBytes:
			s.Hold(ctx, free)
		case held && free >= high:
			s.Unhold(ctx)
		}
	}
}

// leastFree is the free space, in bytes, on that of several directories' disks which has
// the least.
func leastFree(directories []string) (uint64, error) {
	least := ^uint64(0)
	for _, directory := range directories {
		_, free, err := disk.Usage(directory)
		if err != nil {
			return 0, err
		}
		least = min(least, free)
	}
	return least, nil
}
