package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
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
			_ = r.file.SetReadDeadline(time.Now().Add(drainIdle))
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

// publishUntilDrained reports whether the pipe is still open. A pipe is drained
// when it ends, when all that was in it at the exit was read, or when it stays
// empty for a while: a background child may hold it open and write for ever.
func (r *reader) publishUntilDrained() (open bool) {
	const unknown = -1
	left := unknown // of what was in the pipe when the exit was seen
	for {
		if left == unknown && r.hasExited() {
			left = max(r.waiting(), pipeBytes)
		}
		buffer := make([]byte, readBytes)
		n, err := r.file.Read(buffer)
		if n > 0 {
			r.output.publish(&pb.ProcessEvent{Event: &pb.ProcessEvent_Data{Data: r.wrap(buffer[:n])}}, n)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			// The deadline may have passed before the read began.
			if r.waiting() == 0 {
				return true
			}
		case err != nil:
			return false // end of file; EIO is a terminal's
		case left != unknown:
			if left -= n; left <= 0 {
				return true
			}
		}
		if r.hasExited() {
			_ = r.file.SetReadDeadline(time.Now().Add(drainIdle))
		}
	}
}

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
	connection, err := r.file.SyscallConn()
	if err != nil {
		return 0 // closed
	}
	_ = connection.Control(func(descriptor uintptr) {
		n, err = unix.IoctlGetInt(int(descriptor), unix.TIOCINQ)
	})
	if err != nil {
		return 0
	}
	return n
}

func (r *reader) discard() {
	_ = r.file.SetReadDeadline(time.Time{})
	buffer := make([]byte, readBytes)
	for {
		if _, err := r.file.Read(buffer); err != nil {
			return
		}
	}
}
