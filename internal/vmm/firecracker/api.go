package firecracker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// api speaks to one Firecracker over its Unix socket.
type api struct {
	socket string
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

func newAPI(socket string) *api {
	return &api{socket: socket, client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		MaxConnsPerHost: 1,
	}}}
}

// await returns once the socket takes connections. exited is closed if
// Firecracker ends first.
func (a *api) await(ctx context.Context, exited <-chan struct{}) error {
	const retryEvery = 2 * time.Millisecond
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", a.socket)
		if err == nil {
			return conn.Close()
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

func (a *api) close() { a.client.CloseIdleConnections() }
