package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// monitor speaks QMP, QEMU's JSON control protocol, over a Unix socket.
// One command is under way at a time; events are read and dropped, since the
// machine's state is asked for where it matters.
// Source: QEMU's docs/interop/qmp-spec.
type monitor struct {
	mutex   sync.Mutex // held for a whole command: QMP answers in order
	conn    net.Conn
	decoder *json.Decoder
	file    *os.File // goes with the next command
}

// maxMessageBytes bounds one QMP message: QEMU is trusted less than we are.
const maxMessageBytes = 1 << 20

// commandError is QEMU's refusal of a command.
type commandError struct {
	Class       string `json:"class"`
	Description string `json:"desc"`
}

func (e *commandError) Error() string { return e.Description }

// dialMonitor connects to a starting QEMU's socket and leaves the greeting
// behind. exited is closed if QEMU dies first.
func dialMonitor(ctx context.Context, path string, exited <-chan struct{}) (*monitor, error) {
	const retryEvery = 2 * time.Millisecond
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			return greet(ctx, conn)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to QEMU's monitor: %w (last: %w)", ctx.Err(), err)
		case <-exited:
			return nil, fmt.Errorf("QEMU ended before it answered: %w", vmm.ErrNotRunning)
		case <-retry.C:
		}
	}
}

func greet(ctx context.Context, conn net.Conn) (*monitor, error) {
	m := &monitor{conn: conn, decoder: json.NewDecoder(&messageReader{reader: conn})}
	stop := m.interruptOn(ctx)
	defer stop()
	var greeting struct {
		QMP json.RawMessage `json:"QMP"`
	}
	if err := m.decode(&greeting); err != nil {
		conn.Close()
		return nil, fmt.Errorf("read QMP greeting: %w", err)
	}
	if err := m.run("qmp_capabilities", nil, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return m, nil
}

// execute runs one command and decodes what it returns into result, unless
// that is nil. When ctx ends first the connection is unusable and is closed.
func (m *monitor) execute(ctx context.Context, command string, arguments, result any) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := m.interruptOn(ctx)
	defer stop()
	err := m.run(command, arguments, result)
	if ctx.Err() != nil && err != nil {
		m.conn.Close()
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
	return err
}

// executeWithFile is execute with a file for QEMU to use.
func (m *monitor) executeWithFile(ctx context.Context, command string, arguments any, file *os.File) error {
	m.mutex.Lock()
	m.file = file
	m.mutex.Unlock()
	return m.execute(ctx, command, arguments, nil)
}

// send writes one request, with the file that goes with it.
func (m *monitor) send(request any) error {
	content, err := json.Marshal(request)
	if err != nil {
		return err
	}
	content = append(content, '\n')
	if m.file == nil {
		_, err = m.conn.Write(content)
		return err
	}
	file := m.file
	m.file = nil
	connection, ok := m.conn.(*net.UnixConn)
	if !ok {
		return errors.New("files can only be passed over a Unix socket")
	}
	_, _, err = connection.WriteMsgUnix(content, unix.UnixRights(int(file.Fd())), nil)
	return err
}

// interruptOn makes reads and writes fail once ctx ends.
func (m *monitor) interruptOn(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		_ = m.conn.SetDeadline(time.Unix(1, 0))
	})
}

func (m *monitor) run(command string, arguments, result any) error {
	request := struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments}
	if err := m.send(request); err != nil {
		return fmt.Errorf("send %s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *commandError   `json:"error"`
			Event  string          `json:"event"`
		}
		if err := m.decode(&answer); err != nil {
			return fmt.Errorf("read answer to %s: %w", command, err)
		}
		switch {
		case answer.Event != "":
			continue
		case answer.Error != nil:
			return fmt.Errorf("%s: %w", command, answer.Error)
		case result == nil:
			return nil
		}
		if err := json.Unmarshal(answer.Return, result); err != nil {
			return fmt.Errorf("decode answer to %s: %w", command, err)
		}
		return nil
	}
}

func (m *monitor) decode(into any) error {
	if err := m.decoder.Decode(into); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("QEMU closed its monitor: %w", vmm.ErrNotRunning)
		}
		return err
	}
	return nil
}

func (m *monitor) close() { m.conn.Close() }

// messageReader fails a stream that goes on and on without a line end.
type messageReader struct {
	reader io.Reader
	length int
}

func (r *messageReader) Read(buffer []byte) (int, error) {
	n, err := r.reader.Read(buffer)
	for _, b := range buffer[:n] {
		r.length++
		if b == '\n' {
			r.length = 0
		}
	}
	if r.length > maxMessageBytes {
		return 0, fmt.Errorf("QMP message is longer than %d bytes", maxMessageBytes)
	}
	return n, err
}
