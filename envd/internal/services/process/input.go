package process

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// input is where a process is written to: its stdin or its terminal. Writers
// take turns. A process that does not read keeps its writer, and those behind
// it, for as long as each of them is willing to wait, and nothing else.
type input struct {
	file   *os.File
	turn   chan struct{} // holds one token while a writer has its turn
	closed chan struct{}
	close  func() error // closes file and channel; those who write or wait give up
}

// newInput takes a file that heeds deadlines. What end does is done once, when
// the input is closed.
func newInput(file *os.File, end func() error) *input {
	i := &input{file: file, turn: make(chan struct{}, 1), closed: make(chan struct{})}
	i.close = sync.OnceValue(func() error {
		close(i.closed)
		return end()
	})
	return i
}

// write waits while the process does not read, until ctx ends.
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
		_ = i.file.SetWriteDeadline(time.Time{}) // the next writer starts afresh
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

// finish closes the input after the writers that wait already.
func (i *input) finish(ctx context.Context) error {
	if err := i.await(ctx); errors.Is(err, errStdinClosed) {
		return nil
	} else if err != nil {
		return err
	}
	defer i.leave()
	return i.close()
}

// await waits for the turn.
func (i *input) await(ctx context.Context) error {
	select {
	case i.turn <- struct{}{}:
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

func (i *input) leave() { <-i.turn }

func (i *input) isClosed() bool {
	select {
	case <-i.closed:
		return true
	default:
		return false
	}
}
