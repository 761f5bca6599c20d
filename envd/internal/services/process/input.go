package process

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// input is the stdin or terminal of a process. Writes are serialised. A process that does
// not read blocks its writers until their contexts end, and nothing else.
type input struct {
	file   *os.File
	mutex  chan struct{} // holds one token while a write runs
	closed chan struct{}
	close  func() error // closes file and channel, which ends pending writes
}

// newInput takes a file with deadlines. end is called once, when the input is closed.
func newInput(file *os.File, end func() error) *input {
	i := &input{file: file, mutex: make(chan struct{}, 1), closed: make(chan struct{})}
	i.close = sync.OnceValue(func() error {
		close(i.closed)
		return end()
	})
	return i
}

// write blocks while the process does not read, until the context ends.
func (i *input) write(ctx context.Context, data []byte) error {
	if err := i.await(ctx); err != nil {
		return err
	}
	defer i.leave()
	expired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(expired)
		_ = i.file.SetWriteDeadline(time.Unix(1, 0))
	})
	_, err := i.file.Write(data)
	if !stop() {
		<-expired
		_ = i.file.SetWriteDeadline(time.Time{}) // for the next write
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EIO), errors.Is(err, os.ErrClosed), i.isClosed():
		return errStdinClosed
	default:
		return err
	}
}

// finish closes the input after pending writes.
func (i *input) finish(ctx context.Context) error {
	if err := i.await(ctx); errors.Is(err, errStdinClosed) {
		return nil
	} else if err != nil {
		return err
	}
	defer i.leave()
	return i.close()
}

// await locks the mutex.
func (i *input) await(ctx context.Context) error {
	select {
	case i.mutex <- struct{}{}:
	case <-i.closed:
		return errStdinClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	if i.isClosed() {
		i.leave()
		return errStdinClosed
	}
	return nil
}

func (i *input) leave() { <-i.mutex }

func (i *input) isClosed() bool {
	select {
	case <-i.closed:
		return true
	default:
		return false
	}
}
