// Package notice tells an operator of what a guest can cause without end, but not
// as often as the guest causes it.
package notice

import (
	"log/slog"
	"sync"
	"time"
)

// Every is how often the same thing is told at most.
const Every = time.Minute

// Notices are those of one guest.
type Notices struct {
	log *slog.Logger

	mutex sync.Mutex
	told  map[string]time.Time // by message
}

// New makes Notices that go to log.
func New(log *slog.Logger) *Notices { return &Notices{log: log, told: map[string]time.Time{}} }

// Warn logs a message, which is constant, unless it did so within Every.
func (n *Notices) Warn(message string, attributes ...any) {
	if n.due(message, time.Now()) {
		n.log.Warn(message, attributes...) //nolint:sloglint // it is a constant of whoever calls
	}
}

func (n *Notices) due(message string, now time.Time) bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if last, found := n.told[message]; found && now.Sub(last) < Every {
		return false
	}
	n.told[message] = now
	return true
}
