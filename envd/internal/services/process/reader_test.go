package process

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "git.omukk.dev/wrenn/sandbox/envd/gen/process"
)

// The process fills its pipe and exits while its only subscriber reads nothing.
func TestReader_DrainsAFullPipeAfterTheExit(t *testing.T) {
	const size = 512 << 10
	pipe, writer, err := os.Pipe()
	require.NoError(t, err)
	defer writer.Close() // open to the end, as a background child holds it
	_, err = unix.FcntlInt(writer.Fd(), unix.F_SETPIPE_SZ, size)
	require.NoError(t, err)
	_, err = writer.Write(make([]byte, size))
	require.NoError(t, err)

	c := &child{output: newOutput()}
	subscriber := c.output.subscribe()
	c.output.publish(&pb.ProcessEvent{}, subscriberBytes)
	r := c.reader(pipe, func(data []byte) *pb.ProcessEvent_DataEvent {
		return &pb.ProcessEvent_DataEvent{Output: &pb.ProcessEvent_DataEvent_Stdout{Stdout: data}}
	})
	go r.run()
	require.Eventually(t, func() bool { return r.waiting() == size-readBytes }, 5*time.Second, time.Millisecond)
	close(r.exited)
	<-time.After(2 * drainIdle) // the reader's deadline passes while it waits for room

	var received int
	drained := false
	for !drained {
		select {
		case <-subscriber.wake:
		case <-r.drained:
			drained = true
		}
		events, err := subscriber.take()
		require.NoError(t, err)
		for _, event := range events {
			received += len(event.GetData().GetStdout())
		}
	}
	require.Equal(t, size, received)
}
