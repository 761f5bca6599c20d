package proxy

import "sync"

// turns counts the requests under way to each sandbox.
type turns struct {
	mutex sync.Mutex
	taken map[string]int // by sandbox ID
}

// take counts one request in, unless there are enough.
func (t *turns) take(sandboxID string) bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.taken[sandboxID] >= maxRequests {
		return false
	}
	t.taken[sandboxID]++
	return true
}

func (t *turns) giveBack(sandboxID string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.taken[sandboxID]--
	if t.taken[sandboxID] == 0 {
		delete(t.taken, sandboxID)
	}
}
