// Package buildlog keeps what a build tells its watchers: log entries, the states of its
// steps and its result. What a guest prints is cleaned and bounded.
package buildlog

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Level is how important an entry is.
type Level int

// Levels in their order.
const (
	Debug Level = iota + 1
	Info
	Warn
	Error
)

// Entry is one line.
type Entry struct {
	// Sequence counts from 1.
	Sequence uint64
	At       time.Time
	Level    Level
	// Step is "base", "finalize" or a step's name.
	Step string
	// Text has its prefix.
	Text string
}

// StepState is when a step began and ended.
type StepState struct {
	Step       string
	BeganAt    time.Time
	EndedAt    time.Time // zero while it runs
	Cached     bool
	LayerBytes int64
}

// Bounds of one build's log. Errors and warnings of Wrenn's own are added beyond them.
const (
	maxEntries = 50_000
	maxBytes   = 8 << 20
	// MaxLineBytes is how long one line of a guest's output may be.
	MaxLineBytes = 4 << 10
)

// Log is one attempt's. R is the type of its result. It is safe for concurrent use.
type Log[R any] struct {
	mutex   sync.Mutex
	entries []Entry
	bytes   int
	full    bool
	steps   []StepState
	result  *R
	changed chan struct{} // closed, and replaced, at each change
}

// New makes an empty log.
func New[R any]() *Log[R] { return &Log[R]{changed: make(chan struct{})} }

// Add adds an entry of the guest's or of the build's course. When the log is full it is
// dropped; the last entry says so.
func (l *Log[R]) Add(level Level, step, text string) { l.add(level, step, text, false) }

// AddAlways adds an entry even if the log is full. There are few of them.
func (l *Log[R]) AddAlways(level Level, step, text string) { l.add(level, step, text, true) }

func (l *Log[R]) add(level Level, step, text string, always bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.full && !always {
		return
	}
	if !l.full && (len(l.entries) >= maxEntries || l.bytes+len(text) > maxBytes) {
		l.full = true
		l.push(Warn, step, fmt.Sprintf("The log is longer than %d lines or %d MiB: the output from here on is left out.", maxEntries, maxBytes>>20))
		if !always {
			return
		}
	}
	l.push(level, step, text)
}

// push is called with the mutex held.
func (l *Log[R]) push(level Level, step, text string) {
	l.bytes += len(text)
	l.entries = append(l.entries, Entry{Sequence: uint64(len(l.entries)) + 1, At: time.Now(), Level: level, Step: step, Text: text})
	l.announce()
}

// announce is called with the mutex held.
func (l *Log[R]) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// SetStep adds a state of a step, which replaces an earlier one of that step.
func (l *Log[R]) SetStep(state StepState) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	// A state that a watcher has read is not changed: each change is another state.
	l.steps = append(l.steps, state)
	l.announce()
}

// Finish sets the result. Nothing is added afterwards.
func (l *Log[R]) Finish(result R) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.result = &result
	l.announce()
}

// Result is the build's; ok is false while it runs.
func (l *Log[R]) Result() (result R, ok bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.result == nil {
		return result, false
	}
	return *l.result, true
}

// Watcher receives a log. An error ends the watch.
type Watcher[R any] struct {
	Entry  func(Entry) error
	Step   func(StepState) error
	Result func(R) error
}

// Watch sends every entry after a sequence and every state, then what is added, until the
// result was sent or ctx ends.
func (l *Log[R]) Watch(ctx context.Context, after uint64, to Watcher[R]) error {
	steps := 0
	for {
		entries, states, result, changed := l.since(after, steps)
		for _, entry := range entries {
			if err := to.Entry(entry); err != nil {
				return err
			}
			after = entry.Sequence
		}
		for _, state := range states {
			if err := to.Step(state); err != nil {
				return err
			}
			steps++
		}
		if len(entries) > 0 || len(states) > 0 {
			continue
		}
		if result != nil {
			return to.Result(*result)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// maxBatch bounds how long the mutex is held.
const maxBatch = 256

func (l *Log[R]) since(after uint64, steps int) ([]Entry, []StepState, *R, <-chan struct{}) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	from := min(after, uint64(len(l.entries)))
	to := min(from+maxBatch, uint64(len(l.entries)))
	return l.entries[from:to:to], l.steps[steps:len(l.steps):len(l.steps)], l.result, l.changed
}
