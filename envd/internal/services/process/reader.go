package process

import (
	"errors"
	"os"
	"time"

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

// publishUntilDrained reports whether the pipe is still open.
func (r *reader) publishUntilDrained() (open bool) {
	left := pipeBytes // what can still be in the pipe once the process is gone
	for {
		buffer := make([]byte, readBytes)
		n, err := r.file.Read(buffer)
		if n > 0 {
			data := &pb.ProcessEvent{Event: &pb.ProcessEvent_Data{Data: r.wrap(buffer[:n])}}
			r.output.publish(data, n)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return false // end of file; EIO is a terminal's
		}
		if err != nil {
			return true
		}
		select {
		case <-r.exited:
			if left -= n; left <= 0 {
				return true
			}
			_ = r.file.SetReadDeadline(time.Now().Add(drainIdle))
		default:
		}
	}
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
