package main

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

// monitor is a QMP connection: QEMU's JSON control protocol.
type monitor struct {
	conn    *net.UnixConn
	decoder *json.Decoder
}

func dialMonitor(ctx context.Context, path string) (*monitor, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to QEMU's monitor: %w", err)
	}
	m := &monitor{conn: conn.(*net.UnixConn), decoder: json.NewDecoder(conn)}
	var greeting json.RawMessage
	if err := m.decoder.Decode(&greeting); err != nil {
		return nil, errors.Join(fmt.Errorf("read QMP greeting: %w", err), m.close())
	}
	if _, err := m.execute(ctx, "qmp_capabilities", nil); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *monitor) close() error { return m.conn.Close() }

// execute runs one command and returns its answer.
func (m *monitor) execute(ctx context.Context, command string, arguments any) (json.RawMessage, error) {
	request, err := encodeCommand(command, arguments)
	if err != nil {
		return nil, err
	}
	if _, err := m.conn.Write(request); err != nil {
		return nil, fmt.Errorf("send %s: %w", command, err)
	}
	return m.answer(ctx, command)
}

// passFile gives QEMU a file descriptor under a name.
func (m *monitor) passFile(ctx context.Context, name string, file *os.File) error {
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

func (m *monitor) answer(ctx context.Context, command string) (json.RawMessage, error) {
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

// awaitStatus repeats a query until its status is the wanted one.
func (m *monitor) awaitStatus(ctx context.Context, query, want string) error {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		answer, err := m.execute(ctx, query, nil)
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
