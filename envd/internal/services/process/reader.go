package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// reader publishes what comes from a pipe or terminal of a child. It reads until the pipe
// ends, which may be long after the child: a background process that still writes would be
// killed by SIGPIPE if the pipe were closed. What it writes then is dropped.
type reader struct {
	file    *os.File
	output  *output
	wrap    func([]byte) *pb.ProcessEvent_DataEvent
	exited  chan struct{} // closed when the process has exited
	drained chan struct{} // closed when all that it had written is published
}

func (c *child) reader(file *os.File, wrap func([]byte) *pb.ProcessEvent_DataEvent) *reader {
	return &reader{file: file, output: c.output, wrap: wrap, exited: make(chan struct{}), drained: make(chan struct{})}
}

func (r *reader) run() {
	defer r.file.Close()
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() { // interrupts a read that waits for a background process
		defer close(watched)
		select {
		case <-r.exited:
			r.wakeBy(time.Now())
		case <-stop:
		}
	}()
	open := r.publishUntilDrained()
	close(stop)
	<-watched
	close(r.drained)
	if open {
		r.discard()
	}
}

const (
	readBytes = 32 << 10 // read at once
	// drainIdle is how long a pipe must be silent after its process's exit to count as
	// drained: what was written to a terminal can reach its reader a little later.
	// drainLimit bounds the waiting in total, and drainBytes what is read beyond the
	// pipe's content at the exit, because a background process may go on writing.
	drainIdle  = 50 * time.Millisecond
	drainLimit = 80 * time.Millisecond
	drainBytes = 64 << 10
)

// drain bounds what is still read from a pipe after its process has exited.
type drain struct {
	own  int           // bytes to be read that were in the pipe at the exit
	more int           // bytes that may be read in total
	wait time.Duration // that may be waited in total
}

func (d *drain) done() bool { return d.own <= 0 && (d.more <= 0 || d.wait <= 0) }

// patience is how long the next read may wait.
func (d *drain) patience() time.Duration {
	if d.own > 0 {
		return drainIdle
	}
	return min(d.wait, drainIdle)
}

// publishUntilDrained publishes until the pipe is drained: it has ended, or its content at
// the exit was read and the limits of drain are reached. It reports whether the pipe is
// still open. Time that subscribers take does not count.
func (r *reader) publishUntilDrained() (open bool) {
	var after *drain // nil before the exit
	for {
		if after == nil && r.hasExited() {
			waiting := r.waiting()
			after = &drain{own: waiting, more: waiting + drainBytes, wait: drainLimit}
		}
		began, patience := time.Now(), time.Duration(0)
		if after != nil {
			if after.done() {
				return true
			}
			patience = after.patience()
			r.wakeBy(began.Add(patience))
		}
		buffer := make([]byte, readBytes)
		n, err := r.file.Read(buffer)
		waited := time.Since(began)
		if n > 0 {
			r.output.publish(&pb.ProcessEvent{Event: &pb.ProcessEvent_Data{Data: r.wrap(buffer[:n])}}, n)
		}
		if after != nil {
			after.own, after.more, after.wait = after.own-n, after.more-n, after.wait-waited
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// The deadline that run sets does not mean silence.
			if after != nil && waited >= patience && r.waiting() == 0 {
				return true
			}
		case err != nil:
			return false // end of file; EIO is a terminal's
		}
	}
}

func (r *reader) wakeBy(deadline time.Time) { _ = r.file.SetReadDeadline(deadline) }

func (r *reader) hasExited() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// waiting is the number of bytes in the pipe.
func (r *reader) waiting() (n int) {
	err := utils.WithDescriptor(r.file, func(descriptor int) (err error) {
		n, err = unix.IoctlGetInt(descriptor, unix.TIOCINQ)
		return err
	})
	if err != nil {
		return 0 // closed
	}
	return n
}

func (r *reader) discard() {
	r.wakeBy(time.Time{})
	buffer := make([]byte, readBytes)
	for {
		if _, err := r.file.Read(buffer); err != nil {
			return
		}
	}
}
