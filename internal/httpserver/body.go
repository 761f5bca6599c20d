package httpserver

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTooSlow is what reading a body answers that did not come in time.
var ErrTooSlow = errors.New("the request's body came too slowly")

const (
	// drainBytes and drainTime bound the rest of a body that is read before an
	// answer begins, so that its connection can be used again.
	drainBytes = 256 << 10
	drainTime  = 200 * time.Millisecond
	// renewals is how often within the time for a stall its deadline is moved on.
	renewals = 8
)

// past is a deadline that ends a read under way.
var past = time.Unix(1, 0)

// body is a request's body that can be stopped: when its handler has returned, no
// read is under way any more and none begins, although a transport may still hold
// it. net/http requires that of handlers and does not enforce it.
type body struct {
	source     io.ReadCloser
	controller *http.ResponseController
	http1      bool
	expects    bool  // the client waits for "100 Continue" before it sends the body
	length     int64 // -1 where it is not known
	stall      time.Duration
	// duplex is set while the handler may read after the answer has begun.
	duplex atomic.Bool

	mutex    sync.Mutex
	idle     sync.Cond // of mutex: no read is under way
	reading  bool
	read     int64
	ended    bool // read to its end
	failed   bool
	slow     bool
	stopped  bool
	deadline time.Time // by which all of it must have come; zero for none
	renewed  time.Time // when the connection's deadline was set
}

func newBody(r *http.Request, controller *http.ResponseController, stall time.Duration) *body {
	b := &body{
		source: r.Body, controller: controller, http1: r.ProtoMajor == 1, expects: r.Header.Get("Expect") != "",
		length: r.ContentLength, stall: stall,
	}
	b.idle.L = &b.mutex
	return b
}

// Read reads some of the body.
func (b *body) Read(p []byte) (int, error) {
	b.mutex.Lock()
	for b.reading && !b.stopped {
		b.idle.Wait()
	}
	if b.stopped {
		b.mutex.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	b.reading = true
	b.renew(time.Now())
	b.mutex.Unlock()

	n, err := b.source.Read(p)

	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.reading = false
	b.read += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		b.ended = true
	case errors.Is(err, os.ErrDeadlineExceeded) && !b.stopped:
		b.failed, b.slow, err = true, true, ErrTooSlow
	case err != nil:
		b.failed = true
	}
	b.idle.Broadcast()
	return n, err
}

// Close leaves the body to the server.
func (*body) Close() error { return nil }

// renew moves the deadline of reads on. It is called with the mutex held.
func (b *body) renew(now time.Time) {
	if b.stall == 0 || now.Sub(b.renewed) < b.stall/renewals {
		return
	}
	until := now.Add(b.stall)
	if !b.deadline.IsZero() && b.deadline.Before(until) {
		until = b.deadline
	}
	b.renewed = now
	_ = b.controller.SetReadDeadline(until)
}

func (b *body) endWithin(limit time.Duration) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.deadline, b.stall = time.Now().Add(limit), limit
	b.renewed = time.Time{}
}

// waitWithoutEnd takes the deadline off the rest of the body.
func (b *body) waitWithoutEnd() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.stall == 0 || b.ended || b.stopped || b.slow {
		return
	}
	b.stall = 0
	_ = b.controller.SetReadDeadline(time.Time{})
}

// drain reads the rest of the body and says whether that reached its end. Only a
// short rest that is there, or about to be, is worth it.
func (b *body) drain() bool {
	b.mutex.Lock()
	hopeless := b.reading || b.failed || b.stopped || b.expects && b.read == 0 || b.length-b.read > drainBytes
	ended := b.ended
	b.mutex.Unlock()
	if ended || hopeless {
		return ended
	}
	b.endWithin(drainTime)
	_, _ = io.CopyN(io.Discard, b, drainBytes+1)
	return b.hasEnded()
}

func (b *body) hasEnded() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.ended
}

func (b *body) isSlow() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.slow
}

// isUpload says whether more of a body is sure to come, unless its client stops.
func (b *body) isUpload() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return !b.ended && !b.failed && b.length > b.read && (!b.expects || b.read > 0)
}

// awaitReader waits until the read that is under way when a body is stopped has
// ended, and says whether more can be read. Of two readers of a stream of HTTP/2
// only one would learn of its end.
func (b *body) awaitReader(limit time.Duration) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.reading {
		_ = b.controller.SetReadDeadline(time.Now().Add(limit))
	}
	for b.reading {
		b.idle.Wait()
	}
	return !b.ended && !b.failed
}

// stop ends the read that is under way, and lets none begin.
func (b *body) stop() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.stopped = true
	// Reads of HTTP/2 are ended by the server, and disturb nothing until then.
	for b.reading && b.http1 {
		_ = b.controller.SetReadDeadline(past)
		b.idle.Wait()
	}
	b.idle.Broadcast()
}
