package firecracker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// api speaks to one Firecracker over its Unix socket.
type api struct {
	socket *os.File // only a handle: await opens it
	client *http.Client
}

// maxAnswerBytes bounds one answer: a Firecracker is trusted less than we are.
const maxAnswerBytes = 64 << 10

// refusal is Firecracker's answer to a request that it does not fulfil.
type refusal struct {
	Status  int
	Message string `json:"fault_message"`
}

func (e *refusal) Error() string {
	return fmt.Sprintf("Firecracker says (%d): %s", e.Status, e.Message)
}

func newAPI() *api {
	a := &api{}
	a.client = &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return a.dial(ctx) },
		MaxConnsPerHost: 1,
	}}
	return a
}

func (a *api) dial(ctx context.Context) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", a.socket.Fd()))
}

// await returns once the socket in a jail takes connections. exited is closed
// if Firecracker ends first.
func (a *api) await(ctx context.Context, j *jail, exited <-chan struct{}) error {
	const retryEvery = 2 * time.Millisecond
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		err := a.connect(ctx, j)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("connect to Firecracker: %w (last: %w)", ctx.Err(), err)
		case <-exited:
			return fmt.Errorf("connect to Firecracker: %w", vmm.ErrNotRunning)
		case <-retry.C:
		}
	}
}

func (a *api) connect(ctx context.Context, j *jail) (err error) {
	if a.socket == nil {
		if a.socket, err = j.openSocket(); err != nil {
			return err
		}
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// call sends one request and decodes the answer into result, unless that is nil.
func (a *api) call(ctx context.Context, method, path string, body, result any) error {
	content := io.Reader(http.NoBody)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode %s %s: %w", method, path, err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://firecracker"+path, content)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("read answer to %s %s: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		refused := &refusal{Status: response.StatusCode}
		if err := json.Unmarshal(answer, refused); err != nil {
			refused.Message = string(answer)
		}
		return fmt.Errorf("%s %s: %w", method, path, refused)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return fmt.Errorf("decode answer to %s %s: %w", method, path, err)
	}
	return nil
}

func (a *api) close() {
	a.client.CloseIdleConnections()
	if a.socket != nil {
		a.socket.Close()
	}
}
