package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/utils"
)

// reader carries one pipe or terminal of a child to its subscribers. It ends
// with the pipe, which may be long after the child: a server that the command
// left in the background still writes, and must not be killed for it by a
// closed pipe, so what comes then is read and dropped.
type reader struct {
	file    *os.File
	output  *output
	wrap    func([]byte) *pb.ProcessEvent_DataEvent
	exited  chan struct{} // closed by the child's run when the process has exited
	drained chan struct{} // closed here when all it had written was published
}

func (c *child) reader(file *os.File, wrap func([]byte) *pb.ProcessEvent_DataEvent) *reader {
	return &reader{file: file, output: c.output, wrap: wrap, exited: make(chan struct{}), drained: make(chan struct{})}
}

func (r *reader) run() {
	defer r.file.Close()
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() { // wakes a read that would wait for a background child
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
	// drainIdle is how long a pipe must be silent, after the process that wrote
	// it exited, to be taken for drained. drainLimit is how long it may be waited
	// for altogether, and drainBytes how much it may bring beyond what was in it:
	// a background child may hold the pipe open, and write, for ever. What was
	// written to a terminal can reach its reader a little later.
	drainIdle  = 50 * time.Millisecond
	drainLimit = 80 * time.Millisecond
	drainBytes = 64 << 10
)

// drain bounds what is still read from a pipe after its process has exited.
type drain struct {
	own  int           // bytes that were in the pipe at the exit and are still to be read
	more int           // bytes that may be read, those included
	wait time.Duration // how long they may be waited for
}

func (d *drain) done() bool { return d.own <= 0 && (d.more <= 0 || d.wait <= 0) }

// patience is how long the next bytes may be waited for.
func (d *drain) patience() time.Duration {
	if d.own > 0 {
		return drainIdle
	}
	return min(d.wait, drainIdle)
}

// publishUntilDrained reports whether the pipe is still open. A pipe is drained
// when it ends; or when all that was in it at the exit was read and no more is
// to be waited for. Subscribers may take their time.
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
			// Only the read's own deadline means silence; run sets one, too.
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

// waiting is how many bytes are in the pipe.
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
