package qemu

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// lender opens the guest's memory for a QEMU that starts, for reading only.
//
// The memory is a private mapping, and yet QEMU opens its file for writing, up
// to version 8.2 without a way to tell it not to, and keeps it open. The file is
// the snapshot's own, which all its clones map: what breaks out of one guest
// could write to the memory of the others. So we answer while QEMU starts; once
// the guest runs nobody does, and it can open no file for writing any more.
type lender struct {
	path   string
	memory *os.File
	opens  *opens // nil until watch
	closed atomic.Bool
	done   chan struct{}
	lent   bool  // to be looked at after done
	err    error // likewise
}

func newLender(memoryPath string) (*lender, error) {
	memory, err := os.Open(memoryPath)
	if err != nil {
		return nil, fmt.Errorf("open guest memory: %w", err)
	}
	return &lender{path: memoryPath, memory: memory, done: make(chan struct{})}, nil
}

// watch makes the calling thread, and all that it starts, ask before a file is
// opened for writing. The thread must not do that itself any more.
func (l *lender) watch() (err error) {
	if l.opens, err = watchOpens(); err != nil {
		return fmt.Errorf("watch what QEMU opens: %w", err)
	}
	go func() {
		defer close(l.done)
		err := l.answer()
		for err == nil {
			err = l.answer()
		}
		if !l.closed.Load() && !errors.Is(err, errNoMoreOpens) {
			l.err = fmt.Errorf("answer for what QEMU opens: %w", err)
		}
	}()
	return nil
}

// answer answers for one file. Of what is not the guest's memory QEMU is trusted
// with what it names, since it has not seen the guest yet.
func (l *lender) answer() error {
	asked, err := l.opens.next()
	if err != nil {
		return err
	}
	path, err := l.opens.path(asked)
	switch {
	case err != nil:
	case path == l.path:
		if err = l.opens.answerWith(asked, l.memory); err == nil {
			l.lent = true
		}
	default:
		err = l.opens.allow(asked)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil // who asked has ended
	}
	return err
}

// end stops answering. It fails for a QEMU that came by its memory otherwise.
func (l *lender) end() error {
	if err := l.close(); err != nil {
		return err
	}
	if !l.lent {
		return errors.New("QEMU opened the guest's memory itself, maybe for writing")
	}
	return nil
}

// close is end for a QEMU that did not start; after end it does nothing. It
// returns why answering failed, if it did.
func (l *lender) close() error {
	defer l.memory.Close()
	if l.opens == nil {
		return nil
	}
	l.closed.Store(true)
	l.opens.close()
	<-l.done
	return l.err
}
