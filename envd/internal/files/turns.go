package files

import (
	"os"
	"sync"
	"syscall"
)

// turns serialises uploads that overwrite the same file: their content would mix.
// Uploads to different files do not wait for each other.
type turns struct {
	mutex sync.Mutex
	taken map[inode]*turn
}

type inode struct{ device, number uint64 }

type turn struct {
	sync.Mutex
	users int // those that hold it or wait for it
}

// take waits for the turn at a file, and returns what gives it back.
func (t *turns) take(info os.FileInfo) (leave func()) {
	var id inode
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		id = inode{stat.Dev, stat.Ino}
	}
	t.mutex.Lock()
	if t.taken == nil {
		t.taken = make(map[inode]*turn)
	}
	mine := t.taken[id]
	if mine == nil {
		mine = &turn{}
		t.taken[id] = mine
	}
	mine.users++
	t.mutex.Unlock()
	mine.Lock()
	return func() {
		mine.Unlock()
		t.mutex.Lock()
		defer t.mutex.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.taken, id)
		}
	}
}
