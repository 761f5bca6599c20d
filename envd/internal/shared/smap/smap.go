// Package smap is a map that goroutines share.
package smap

import (
	"maps"
	"slices"
	"sync"
)

// Map is safe for use by many goroutines. The zero value is empty.
type Map[K comparable, V any] struct {
	mutex   sync.Mutex
	entries map[K]V
}

// Store sets the value of a key.
func (m *Map[K, V]) Store(key K, value V) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.entries == nil {
		m.entries = make(map[K]V)
	}
	m.entries[key] = value
}

// Load returns the value of a key.
func (m *Map[K, V]) Load(key K) (value V, found bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	value, found = m.entries[key]
	return value, found
}

// Delete removes a key.
func (m *Map[K, V]) Delete(key K) {
	m.DeleteIf(key, func(V) bool { return true })
}

// DeleteIf removes a key whose value satisfies a condition. The condition must not use
// the map.
func (m *Map[K, V]) DeleteIf(key K, condition func(V) bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if value, found := m.entries[key]; found && condition(value) {
		delete(m.entries, key)
	}
}

// Values returns a copy of the values, in no order.
func (m *Map[K, V]) Values() []V {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Collect(maps.Values(m.entries))
}
