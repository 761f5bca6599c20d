// Package feed tells watchers the newest state of each item that changes.
package feed

import (
	"context"
	"sync"
)

// Feed announces changed items, each under an ID, to all watchers. The zero value has
// none.
type Feed[T any] struct {
	mutex    sync.Mutex
	watchers map[*watcher[T]]struct{}
}

// watcher is one caller of Watch. It holds the newest state of each changed item and no
// queue: an item that changed twice before it was read is received once. So a slow
// receiver takes bounded memory and delays no other.
type watcher[T any] struct {
	changed map[string]T
	wake    chan struct{} // holds one token while changed is not empty
}

// Watch calls receive with each item of list, and then with each that changes, until ctx
// ends or receive fails.
func (f *Feed[T]) Watch(ctx context.Context, list func() []T, receive func(T) error) error {
	w := &watcher[T]{changed: make(map[string]T), wake: make(chan struct{}, 1)}
	f.add(w)
	defer f.remove(w)
	for _, item := range list() {
		if err := receive(item); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		for _, item := range f.take(w) {
			if err := receive(item); err != nil {
				return err
			}
		}
	}
}

func (f *Feed[T]) add(w *watcher[T]) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.watchers == nil {
		f.watchers = make(map[*watcher[T]]struct{})
	}
	f.watchers[w] = struct{}{}
}

func (f *Feed[T]) remove(w *watcher[T]) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	delete(f.watchers, w)
}

// take empties what has changed for a watcher.
func (f *Feed[T]) take(w *watcher[T]) map[string]T {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	changed := w.changed
	w.changed = make(map[string]T)
	return changed
}

// Announce tells every watcher the state of an item, which look returns. It is called
// with the feed's mutex held, so that no watcher receives an older state after a newer
// one: it must not announce anything, and takes only locks that are never held while
// announcing.
func (f *Feed[T]) Announce(id string, look func() T) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	item := look()
	for w := range f.watchers {
		w.changed[id] = item
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}
