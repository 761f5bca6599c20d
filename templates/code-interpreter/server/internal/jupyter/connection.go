package jupyter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

const (
	// largestMessage bounds what one message of a kernel may have, a picture in base64
	// for example. A larger one ends the connection, and with it the run.
	largestMessage = 128 << 20
	// waitingMessages are those of a run that its client has not taken yet. The reader
	// waits for room, and thereby the kernel's connection does.
	waitingMessages = 64
)

// connection is a WebSocket to one kernel, with one reader that hands each message to
// the run that it belongs to.
type connection struct {
	socket *websocket.Conn
	cancel context.CancelFunc
	done   chan struct{} // closed by the reader at its end

	mu   sync.Mutex
	runs map[string]*run
}

// run is a request that waits for its end.
type run struct {
	messages chan message  // written by the reader
	left     chan struct{} // closed when nobody takes messages any more
}

func (c *client) connect(ctx context.Context, kernelID, session string) (*connection, error) {
	url := "ws://localhost/api/kernels/" + kernelID + "/channels?session_id=" + session
	socket, response, err := websocket.Dial(ctx, url, &websocket.DialOptions{ //nolint:bodyclose // its documentation: never to be closed
		HTTPClient: c.http,
		HTTPHeader: http.Header{"Authorization": {"token " + c.token}},
	})
	if err != nil {
		if response != nil && response.StatusCode == http.StatusNotFound {
			return nil, errNoKernel
		}
		return nil, fmt.Errorf("connect to kernel %s: %w", kernelID, err)
	}
	socket.SetReadLimit(largestMessage)
	reading, cancel := context.WithCancel(context.Background())
	made := &connection{socket: socket, cancel: cancel, done: make(chan struct{}), runs: map[string]*run{}}
	go made.read(reading, c.log.With("kernel", kernelID))
	return made, nil
}

// read hands out messages until the connection ends.
func (c *connection) read(ctx context.Context, log *slog.Logger) {
	defer close(c.done)
	defer c.socket.CloseNow()
	for {
		_, data, err := c.socket.Read(ctx)
		if err != nil {
			if ctx.Err() == nil && websocket.CloseStatus(err) == -1 {
				log.WarnContext(ctx, "lost the connection to a kernel", "error", err)
			}
			return
		}
		read, err := decode(data)
		if err != nil {
			log.WarnContext(ctx, "left out a message of a kernel", "error", err)
			continue
		}
		for _, to := range c.receivers(read) {
			select {
			case to.messages <- read:
			case <-to.left:
			case <-ctx.Done():
				return
			}
		}
	}
}

// receivers are the runs that a message is for: the one it answers, and all of them
// where it tells that the kernel itself ended.
func (c *connection) receivers(read message) []*run {
	c.mu.Lock()
	defer c.mu.Unlock()
	if read.state == "restarting" || read.state == "dead" {
		all := make([]*run, 0, len(c.runs))
		for _, one := range c.runs {
			all = append(all, one)
		}
		return all
	}
	if one, found := c.runs[read.parent]; found {
		return []*run{one}
	}
	return nil
}

func (c *connection) add(id string) *run {
	made := &run{messages: make(chan message, waitingMessages), left: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[id] = made
	return made
}

func (c *connection) remove(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one, found := c.runs[id]; found {
		close(one.left)
		delete(c.runs, id)
	}
}

// close ends the connection and waits for its reader.
func (c *connection) close() {
	c.cancel()
	<-c.done
}

// ended is true once no message will come.
func (c *connection) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (c *connection) send(ctx context.Context, data []byte) error {
	if err := c.socket.Write(ctx, websocket.MessageText, data); err != nil {
		return errors.Join(errDisconnected, err)
	}
	return nil
}
