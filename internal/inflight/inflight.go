// Package inflight bounds how many requests or connections are open at a time.
package inflight

import "sync"

// Counter counts what is open for each key, such as requests to each sandbox. The zero
// Counter is empty. It may be used by several goroutines.
type Counter[K comparable] struct {
	mutex sync.Mutex
	taken map[K]int
}

// Take counts one more for a key. It returns false, and counts nothing, if there are most
// already. Each one that was counted must be given back once.
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

// GiveBack counts one less for a key.
func (c *Counter[K]) GiveBack(key K) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.taken[key]--; c.taken[key] == 0 {
		delete(c.taken, key)
	}
}
