package files

import (
	"os"
	"sync"
	"syscall"
)

// fileLocks serialise uploads that overwrite the same file, whose content would mix.
// Uploads to different files do not wait for each other.
type fileLocks struct {
	mutex sync.Mutex
	held  map[inode]*fileLock
}

type inode struct{ device, number uint64 }

type fileLock struct {
	sync.Mutex
	users int // that hold it or wait for it
}

// lock waits for the lock of a file, and returns what unlocks it.
func (l *fileLocks) lock(info os.FileInfo) (unlock func()) {
	var id inode
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		id = inode{stat.Dev, stat.Ino}
	}
	l.mutex.Lock()
	if l.held == nil {
		l.held = make(map[inode]*fileLock)
	}
	lock := l.held[id]
	if lock == nil {
		lock = &fileLock{}
		l.held[id] = lock
	}
	lock.users++
	l.mutex.Unlock()
	lock.Lock()
	return func() {
		lock.Unlock()
		l.mutex.Lock()
		defer l.mutex.Unlock()
		if lock.users--; lock.users == 0 {
			delete(l.held, id)
		}
	}
}
