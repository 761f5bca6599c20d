package qemu

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// memoryOpener opens the guest's memory in place of a QEMU that starts, for reading only.
//
// QEMU maps the memory privately and yet opens its file for writing, and keeps it open;
// versions up to 8.2 have no option against that. All clones map the same file, so a
// guest that breaks out of its QEMU could write to the memory of the others. A seccomp
// filter therefore stops each opening for reading and writing: memoryOpener answers
// until the guest runs, and from then on such an opening fails.
type memoryOpener struct {
	path     string
	memory   *os.File
	opens    *openWatch // nil until watch
	closed   atomic.Bool
	done     chan struct{}
	answered bool  // valid after done
	err      error // valid after done
}

func newMemoryOpener(memoryPath string) (*memoryOpener, error) {
	memory, err := os.Open(memoryPath)
	if err != nil {
		return nil, fmt.Errorf("open guest memory: %w", err)
	}
	return &memoryOpener{path: memoryPath, memory: memory, done: make(chan struct{})}, nil
}

// watch installs the filter for the calling thread and all that it starts, and answers
// in the background. The thread itself must open no file for writing afterwards.
func (m *memoryOpener) watch() (err error) {
	if m.opens, err = watchOpens(); err != nil {
		return fmt.Errorf("watch what QEMU opens: %w", err)
	}
	go func() {
		defer close(m.done)
		err := m.answer()
		for err == nil {
			err = m.answer()
		}
		if !m.closed.Load() && !errors.Is(err, errNoMoreOpens) {
			m.err = fmt.Errorf("answer a file that QEMU opens: %w", err)
		}
	}()
	return nil
}

// answer answers the opening of one file. Files other than the memory are allowed: QEMU
// has not run the guest yet, and is trusted.
func (m *memoryOpener) answer() error {
	asked, err := m.opens.next()
	if err != nil {
		return err
	}
	path, err := m.opens.path(asked)
	switch {
	case err != nil:
	case path == m.path:
		if err = m.opens.answerWith(asked, m.memory); err == nil {
			m.answered = true
		}
	default:
		err = m.opens.allow(asked)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil // the thread that asked has ended
	}
	return err
}

// end stops answering. It fails if QEMU did not ask for the memory.
func (m *memoryOpener) end() error {
	if err := m.close(); err != nil {
		return err
	}
	if !m.answered {
		return errors.New("QEMU opened the guest's memory itself, maybe for writing")
	}
	return nil
}

// close stops answering after a failed start, and does nothing after end. It returns why
// answering failed, if it did.
func (m *memoryOpener) close() error {
	defer m.memory.Close()
	if m.opens == nil {
		return nil
	}
	m.closed.Store(true)
	m.opens.close()
	<-m.done
	return m.err
}
