// Package port makes servers that listen on the guest's loopback alone
// reachable from outside, as they would be on a developer's own machine.
package port

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// scanInterval is how soon a new server is found, at the latest.
const scanInterval = time.Second

// Subsystem looks for servers and forwards to them, between Start and Stop.
// One goroutine does both, so there is nothing between them to get stuck.
// Start, Stop and Restart may be called at any time, from anywhere, twice.
type Subsystem struct {
	outside netip.Addr
	groups  Groups
	log     *slog.Logger

	mutex  sync.Mutex // held for a whole Start or Stop
	cancel context.CancelFunc
	done   chan struct{}

	// Of the goroutine between Start and Stop, and kept for the next: a guest that
	// was just restored has better things to do than to open files again.
	scanner *scanner
	// busy is whether there was anything to forward to when it ended last.
	busy bool
}

// New returns a subsystem that forwards from the guest's address. It does
// nothing until Start.
func New(outside netip.Addr, groups Groups, log *slog.Logger) *Subsystem {
	return &Subsystem{outside: outside, groups: groups, log: log}
}

// Start begins to look for servers, unless that is being done already.
func (s *Subsystem) Start() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.start()
}

// Stop ends the looking and every forwarder, and returns when all are gone.
func (s *Subsystem) Stop() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stop()
}

// Restart is Stop and Start with nobody in between.
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

// run forwards to whatever listens until ctx ends. It looks at once only for
// what was there before.
func (s *Subsystem) run(ctx context.Context) {
	if s.scanner == nil {
		var err error
		if s.scanner, err = openScanner(); err != nil {
			s.log.Error("servers on loopback will not be found", "error", err)
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
