// Package inflight bounds how many of something are under way at a time.
package inflight

import "sync"

// Counter counts what is under way for each key, such as requests for each sandbox.
// The zero Counter has counted nothing. It is safe for use by many goroutines.
type Counter[K comparable] struct {
	mutex sync.Mutex
	taken map[K]int
}

// Take counts one more for a key, unless there are most already. Each that was
// counted must be given back once.
func (c *Counter[K]) Take(key K, most int) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.taken[key] >= most {
		return false
	}
	if c.taken == nil {
		c.taken = make(map[K]int)
	}
	c.taken[key]++
	return true
}

// GiveBack takes one that has ended out of the count. A key without any is forgotten.
func (c *Counter[K]) GiveBack(key K) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.taken[key]--; c.taken[key] == 0 {
		delete(c.taken, key)
	}
}
