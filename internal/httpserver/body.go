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

// ErrTooSlow is the error of reading a body that arrives too slowly.
var ErrTooSlow = errors.New("the request's body came too slowly")

const (
	// drainBytes and drainTime bound the rest of a body that is read before an
	// answer begins, so that its connection can be reused.
	drainBytes = 256 << 10
	drainTime  = 200 * time.Millisecond
	// renewals is how many times the read deadline is extended within one stall time.
	renewals = 8
)

// past is a deadline that interrupts a read in progress.
var past = time.Unix(1, 0)

// body is a request body that can be stopped. After stop no read is in progress and
// none begins, even if a transport still holds the body: net/http requires that of
// handlers and does not enforce it.
type body struct {
	source     io.ReadCloser
	controller *http.ResponseController
	http1      bool
	expects    bool  // the client waits for "100 Continue" before it sends the body
	length     int64 // -1 if unknown
	stall      time.Duration
	// duplex is set while the handler may read after the answer has begun.
	duplex atomic.Bool

	mutex    sync.Mutex
	idle     sync.Cond // of mutex: signals that no read is in progress
	reading  bool
	read     int64
	ended    bool // read to its end
	failed   bool
	slow     bool
	stopped  bool
	deadline time.Time // for the whole body; zero for none
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

// Close does nothing: the server closes the body.
func (*body) Close() error { return nil }

// renew extends the read deadline. The caller holds the mutex.
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

// removeDeadline removes the deadline of the rest of the body.
func (b *body) removeDeadline() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.stall == 0 || b.ended || b.stopped || b.slow {
		return
	}
	b.stall = 0
	_ = b.controller.SetReadDeadline(time.Time{})
}

// drain reads the rest of the body and reports whether it reached the end. It reads
// only a short rest that has arrived or is about to.
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

// isUpload reports whether the client is still sending the body, of known length.
func (b *body) isUpload() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return !b.ended && !b.failed && b.length > b.read && (!b.expects || b.read > 0)
}

// awaitReader waits until the read in progress has ended, and reports whether more can
// be read. Of two concurrent readers of an HTTP/2 stream only one learns of its end.
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

// stop interrupts the read in progress and prevents others.
func (b *body) stop() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.stopped = true
	// The server ends reads of HTTP/2 itself.
	for b.reading && b.http1 {
		_ = b.controller.SetReadDeadline(past)
		b.idle.Wait()
	}
	b.idle.Broadcast()
}
