// Package notice logs conditions that a guest can cause at will, each at most once a
// minute, so that a guest cannot fill the log.
package notice

import (
	"log/slog"
	"sync"
	"time"
)

// Every is the least time between two lines with the same message.
const Every = time.Minute

// Notices logs the conditions of one guest.
type Notices struct {
	log *slog.Logger

	mutex sync.Mutex
	last  map[string]time.Time // by message, when it was logged
}

// New makes Notices for a log.
func New(log *slog.Logger) *Notices { return &Notices{log: log, last: map[string]time.Time{}} }

// Warn logs a message, which must be constant, unless it was logged within Every.
func (n *Notices) Warn(message string, attributes ...any) {
	if n.due(message, time.Now()) {
		n.log.Warn(message, attributes...) //nolint:sloglint // callers pass constants
	}
}

func (n *Notices) due(message string, now time.Time) bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if logged, found := n.last[message]; found && now.Sub(logged) < Every {
		return false
	}
	n.last[message] = now
	return true
}
