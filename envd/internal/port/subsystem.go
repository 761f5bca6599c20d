// Package port forwards connections from outside to servers that listen only on the
// guest's loopback.
package port

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// scanInterval is the time between two scans.
const scanInterval = time.Second

// Subsystem scans for servers and forwards to them, between Start and Stop. One goroutine
// does both. Start, Stop and Restart are idempotent and safe for concurrent use.
type Subsystem struct {
	outside netip.Addr
	groups  Groups
	log     *slog.Logger

	mutex  sync.Mutex // held during Start and Stop
	cancel context.CancelFunc
	done   chan struct{}

	// Used by the goroutine between Start and Stop. Kept across Stop and Start so that
	// a resume does not reopen files in /proc.
	scanner *scanner
	// busy: there were forwarders at the last Stop.
	busy bool
}

// New returns a stopped subsystem that forwards from the guest's address.
func New(outside netip.Addr, groups Groups, log *slog.Logger) *Subsystem {
	return &Subsystem{outside: outside, groups: groups, log: log}
}

// Start starts scanning.
func (s *Subsystem) Start() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.start()
}

// Stop ends the scanning and all forwarders, and waits for their end.
func (s *Subsystem) Stop() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stop()
}

// Restart is an atomic Stop and Start.
func (s *Subsystem) Restart() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stop()
	s.start()
}

func (s *Subsystem) start() {
	if s.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		s.run(ctx)
	}(s.done)
}

func (s *Subsystem) stop() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
	s.cancel = nil
}

// run scans and forwards until the context ends. It scans at once only if there were
// forwarders before.
func (s *Subsystem) run(ctx context.Context) {
	if s.scanner == nil {
		var err error
		if s.scanner, err = openScanner(); err != nil {
			s.log.ErrorContext(ctx, "servers on loopback will not be found", "error", err)
			return
		}
	}
	forwarders := newForwarders(s.outside, s.groups, s.log)
	defer func() {
		s.busy = len(forwarders.running) > 0
		forwarders.stopAll()
	}()
	tick := time.NewTicker(scanInterval)
	defer tick.Stop()
	for look := s.busy; ; look = true {
		if look {
			s.look(forwarders)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Subsystem) look(forwarders *forwarders) {
	if err := s.scanner.scan(); err != nil {
		s.log.Error("look for servers on loopback", "error", err)
		return
	}
	forwarders.follow(s.scanner.found)
}
