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

// monitor speaks QMP, QEMU's JSON control protocol, over a Unix socket. One command runs
// at a time. After a command whose context ended before its answer the connection is
// closed, so that the late answer is not taken for the next command's; the next command
// connects again, which QEMU accepts when the last client has disconnected.
// Source: QEMU's docs/interop/qmp-spec.
type monitor struct {
	socket *os.File        // O_PATH: its directory may be renamed
	exited <-chan struct{} // closed when QEMU has ended

	mutex sync.Mutex // held for a whole command: QMP answers in order
	link  *link      // nil until the next command
}

// commandError is QEMU's refusal of a command.
type commandError struct {
	Class       string `json:"class"`
	Description string `json:"desc"`
}

func (e *commandError) Error() string { return e.Description }

// openMonitor opens the existing socket of a QEMU.
func openMonitor(path string, exited <-chan struct{}) (*monitor, error) {
	socket, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open QEMU's monitor: %w", err)
	}
	return &monitor{socket: socket, exited: exited}, nil
}

// execute runs one command and decodes what it returns into result, unless result is
// nil. A command whose context ends may have been carried out.
func (m *monitor) execute(ctx context.Context, command string, arguments, result any) error {
	return m.executeWithFile(ctx, command, arguments, nil, result)
}

// executeWithFile is execute with a file for QEMU to use.
func (m *monitor) executeWithFile(ctx context.Context, command string, arguments any, file *os.File, result any) error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	err := m.connect(ctx)
	if err == nil {
		err = m.link.during(ctx, func() error { return m.link.run(command, arguments, file, result) })
	}
	var refusal *commandError
	if m.link != nil && (m.link.interrupted || err != nil && !errors.As(err, &refusal)) {
		m.drop()
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
	return err
}

// connect makes a connection, unless there is one, and reads the greeting.
func (m *monitor) connect(ctx context.Context) error {
	if err := ctx.Err(); err != nil || m.link != nil {
		return err
	}
	conn, err := m.dial(ctx)
	if err != nil {
		return err
	}
	input := &limitedReader{reader: conn}
	m.link = &link{conn: conn, input: input, decoder: json.NewDecoder(input)}
	return m.link.during(ctx, m.link.greet)
}

func (m *monitor) dial(ctx context.Context) (*net.UnixConn, error) {
	const retryEvery = 2 * time.Millisecond
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", m.socket.Fd()))
		if connected, ok := conn.(*net.UnixConn); err == nil && ok {
			return connected, nil
		}
		// QEMU has ended, or its queue of clients is full.
		if errors.Is(err, unix.ECONNREFUSED) {
			return nil, fmt.Errorf("connect to QEMU's monitor: %w: %w", vmm.ErrNotRunning, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to QEMU's monitor: %w (last: %w)", ctx.Err(), err)
		case <-m.exited:
			return nil, fmt.Errorf("QEMU ended before it answered: %w", vmm.ErrNotRunning)
		case <-retry.C:
		}
	}
}

func (m *monitor) drop() {
	m.link.conn.Close()
	m.link = nil
}

// close closes the connection and the socket.
func (m *monitor) close() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.link != nil {
		m.drop()
	}
	m.socket.Close()
}

// link is one connection to a monitor.
type link struct {
	conn        *net.UnixConn
	input       *limitedReader
	decoder     *json.Decoder
	interrupted bool // its deadline has passed for good
}

// during makes work's reads and writes fail when the context ends.
func (l *link) during(ctx context.Context, work func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	err := work()
	if !stop() {
		l.interrupted = true
	}
	return err
}

func (l *link) greet() error {
	var greeting struct {
		QMP json.RawMessage `json:"QMP"`
	}
	if err := l.decode(&greeting); err != nil {
		return fmt.Errorf("read QMP greeting: %w", err)
	}
	return l.run("qmp_capabilities", nil, nil, nil)
}

// send writes one request, with the file that goes with it.
func (l *link) send(request any, file *os.File) error {
	content, err := json.Marshal(request)
	if err != nil {
		return err
	}
	content = append(content, '\n')
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	_, _, err = l.conn.WriteMsgUnix(content, rights, nil)
	return err
}

// run sends one command and waits for its answer. Events are dropped; the machine's
// state is queried where it matters.
func (l *link) run(command string, arguments any, file *os.File, result any) error {
	request := struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments}
	if err := l.send(request, file); err != nil {
		return fmt.Errorf("send %s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *commandError   `json:"error"`
			Event  string          `json:"event"`
		}
		if err := l.decode(&answer); err != nil {
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

func (l *link) decode(into any) error {
	l.input.left = maxMessageBytes
	err := l.decoder.Decode(into)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("QEMU closed its monitor: %w", vmm.ErrNotRunning)
	}
	return err
}

// maxMessageBytes bounds one QMP message: a guest may have taken QEMU over.
const maxMessageBytes = 1 << 20

// limitedReader fails when more is read than is left.
type limitedReader struct {
	reader io.Reader
	left   int
}

func (r *limitedReader) Read(buffer []byte) (int, error) {
	if r.left <= 0 {
		return 0, fmt.Errorf("QMP message is longer than %d bytes", maxMessageBytes)
	}
	n, err := r.reader.Read(buffer[:min(len(buffer), r.left)])
	r.left -= n
	return n, err
}
