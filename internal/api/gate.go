package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// gate counts the requests in progress, and can be closed.
type gate struct {
	mutex  sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // made by close, closed when no request is in progress
	ending chan struct{} // made by closing, closed by close
}

// closing returns a channel that is closed when the gate is. A request that may last
// without end must end then.
func (g *gate) closing() <-chan struct{} {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.end()
}

// end makes the channel of closing. The caller holds the mutex.
func (g *gate) end() chan struct{} {
	if g.ending == nil {
		g.ending = make(chan struct{})
	}
	return g.ending
}

func (g *gate) enter() bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// close refuses new requests and waits until none is in progress.
func (g *gate) close(ctx context.Context) error {
	g.mutex.Lock()
	if !g.closed {
		g.closed = true
		close(g.end())
		g.empty = make(chan struct{})
		if g.inside == 0 {
			close(g.empty)
		}
	}
	g.mutex.Unlock()
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the requests in progress: %w", ctx.Err())
	}
}

func (g *gate) middleware(fail func(http.ResponseWriter, *http.Request, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !g.enter() {
				fail(w, r, fault.New(fault.Unavailable, "the server is shutting down"))
				return
			}
			defer g.leave()
			next.ServeHTTP(w, r)
		})
	}
}
