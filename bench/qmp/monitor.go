// Package qmp is a client of QEMU's monitor, for a QEMU that the benchmark starts itself.
package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Monitor is a QMP connection: QEMU's JSON control protocol.
type Monitor struct {
	conn    *net.UnixConn
	decoder *json.Decoder
}

// Dial connects to a monitor's socket.
func Dial(ctx context.Context, path string) (*Monitor, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to QEMU's monitor: %w", err)
	}
	m := &Monitor{conn: conn.(*net.UnixConn), decoder: json.NewDecoder(conn)}
	var greeting json.RawMessage
	if err := m.decoder.Decode(&greeting); err != nil {
		return nil, errors.Join(fmt.Errorf("read QMP greeting: %w", err), m.Close())
	}
	if _, err := m.Execute(ctx, "qmp_capabilities", nil); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// Close ends the connection.
func (m *Monitor) Close() error { return m.conn.Close() }

// Execute runs one command and returns its answer.
func (m *Monitor) Execute(ctx context.Context, command string, arguments any) (json.RawMessage, error) {
	request, err := encodeCommand(command, arguments)
	if err != nil {
		return nil, err
	}
	if _, err := m.conn.Write(request); err != nil {
		return nil, fmt.Errorf("send %s: %w", command, err)
	}
	return m.answer(ctx, command)
}

// PassFile gives QEMU a file descriptor under a name.
func (m *Monitor) PassFile(ctx context.Context, name string, file *os.File) error {
	request, err := encodeCommand("getfd", map[string]any{"fdname": name})
	if err != nil {
		return err
	}
	if _, _, err := m.conn.WriteMsgUnix(request, unix.UnixRights(int(file.Fd())), nil); err != nil {
		return fmt.Errorf("send getfd: %w", err)
	}
	_, err = m.answer(ctx, "getfd")
	return err
}

func encodeCommand(command string, arguments any) ([]byte, error) {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	return json.Marshal(request)
}

func (m *Monitor) answer(ctx context.Context, command string) (json.RawMessage, error) {
	stop := context.AfterFunc(ctx, func() { _ = m.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		var message struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Description string `json:"desc"`
			} `json:"error"`
		}
		if err := m.decoder.Decode(&message); err != nil {
			return nil, fmt.Errorf("read answer to %s: %w", command, err)
		}
		if message.Error != nil {
			return nil, fmt.Errorf("%s: %s", command, message.Error.Description)
		}
		if message.Return != nil {
			return message.Return, nil
		}
	}
}

// AwaitStatus repeats a query until its status is the wanted one.
func (m *Monitor) AwaitStatus(ctx context.Context, query, want string) error {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		answer, err := m.Execute(ctx, query, nil)
		if err != nil {
			return err
		}
		var now struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal(answer, &now); err != nil {
			return fmt.Errorf("decode answer to %s: %w", query, err)
		}
		switch now.Status {
		case want:
			return nil
		case "failed":
			return fmt.Errorf("%s says %s: %s", query, now.Status, answer)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s of %s: %w", want, query, ctx.Err())
		case <-poll.C:
		}
	}
}
