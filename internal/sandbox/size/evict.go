package size

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/disk"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

const (
	// tidyEvery is how often the store looks for what to remove.
	tidyEvery = time.Minute
	// atLeast is how long a size is kept after its last use: creates come in bursts.
	atLeast = time.Minute
	// roomFactor: with less than this many times the reserve free, the disk is short.
	roomFactor = 2
)

// Tidy has the store look for what to remove, soon.
func (s *Store) Tidy() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Store) keepUp(ctx context.Context) {
	again := time.NewTicker(tidyEvery)
	defer again.Stop()
	for {
		s.evict(time.Now(), s.short())
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-s.wake:
		}
	}
}

// short is how many bytes of the disk are missing.
func (s *Store) short() int64 {
	_, free, err := disk.Usage(s.config.Directory)
	if err != nil {
		s.config.Log.Error("measure the disk of sizes", "error", err)
		return 0
	}
	return int64(s.config.ReserveBytes)*roomFactor - int64(free)
}

// evict removes sizes whose build is gone, which were unused for too long, and then the
// least recently used ones until the others fit and so many bytes more are free.
func (s *Store) evict(now time.Time, shortBytes int64) {
	for _, removed := range s.takeUnfit(now, shortBytes) {
		s.config.Log.Info("a size of a template is removed", "build", removed.snapshot.BuildID, "unused", now.Sub(removed.used), "bytes", removed.bytes)
		if err := removed.snapshot.Remove(); err != nil {
			s.config.Log.Error("remove a size of a template", "error", err)
		}
	}
}

// takeUnfit chooses what to remove, and forgets it.
func (s *Store) takeUnfit(now time.Time, shortBytes int64) []*sized {
	bases := s.bases()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var total int64
	for _, one := range s.sizes {
		total += one.bytes
	}
	excess := max(total-s.config.MaxBytes, shortBytes)
	var taken []*sized
	oldest := slices.SortedFunc(maps.Keys(s.sizes), func(a, b string) int { return s.sizes[a].used.Compare(s.sizes[b].used) })
	for _, name := range oldest {
		one := s.sizes[name]
		idle := now.Sub(one.used)
		gone := bases[baseOf(name)] == nil
		if one.users > 0 || !gone && (idle < atLeast || idle < s.config.Unused && excess <= 0) || isRunning(one.snapshot) {
			continue
		}
		excess -= one.bytes
		taken = append(taken, one)
		delete(s.sizes, name)
	}
	return taken
}

// isRunning reports whether a VM has a name of its own for the memory file. Such a size
// takes no room that its removal would free.
func isRunning(made *snapshot.Snapshot) bool {
	info, err := os.Stat(made.State().MemoryPath)
	if err != nil {
		return false
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	return ok && status.Nlink > 1
}

// measure is how many bytes of the disk a size takes that its build does not.
func (s *Store) measure(made, base *snapshot.Snapshot) int64 {
	var total int64
	for path, other := range map[string]string{
		made.State().MemoryPath: "",
		made.DiskPath():         filepath.Join(base.Dir, filepath.Base(made.DiskPath())),
	} {
		own, err := disk.OwnBytes(path, other)
		if err != nil {
			s.config.Log.Warn("measure a size of a template", "error", err)
		}
		total += own
	}
	return total
}
