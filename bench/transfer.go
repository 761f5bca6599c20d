package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

const (
	transferBytes = 100_000_000
	rawPort       = 9797
	// socat is the side by hand: it writes a stream to a file, or a file to a stream.
	rawReceive = "socat -u -b 65536 TCP-LISTEN:%d,reuseaddr OPEN:/home/user/raw,creat,trunc"
	rawSend    = "socat -u -b 65536 OPEN:/home/user/raw TCP-LISTEN:%d,reuseaddr"
)

// measureGuestAgent measures envd without the control plane, through the guest's
// network, in one sandbox.
func measureGuestAgent(ctx context.Context, wrenn *installation.Installation, rounds, commands int, into *measurements) (err error) {
	s, err := createSandbox(ctx, wrenn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.kill(ctx)) }()
	agent, err := s.straightAgent()
	if err != nil {
		return err
	}
	defer agent.Client.CloseIdleConnections()
	if into.agentMemory, err = residentMemory(ctx, agent); err != nil {
		return err
	}
	if err := measureInside(ctx, agent, commands, into); err != nil {
		return err
	}
	for range rounds {
		// Both sides write a new file: overwriting one copies its blocks first.
		if _, err := agent.Run(ctx, "rm -f /home/user/file /home/user/raw"); err != nil {
			return err
		}
		for _, step := range []struct {
			do    func(context.Context, *guest.Agent) error
			times *[]time.Duration
		}{
			{uploadByHand, &into.uploadByHand},
			{upload, &into.uploadByAgent},
			{downloadByHand, &into.downloadByHand},
			{download, &into.downloadByAgent},
		} {
			began := time.Now()
			if err := step.do(ctx, agent); err != nil {
				return err
			}
			*step.times = append(*step.times, time.Since(began))
		}
	}
	return nil
}

// residentMemory is envd's resident memory in bytes, in an unused sandbox.
func residentMemory(ctx context.Context, agent *guest.Agent) (float64, error) {
	result, err := agent.Run(ctx, `awk '/^VmRSS/{print $2}' $(dirname $(grep -lx envd /proc/[0-9]*/comm))/status`)
	if err != nil {
		return 0, err
	}
	kibibytes, err := strconv.ParseFloat(strings.TrimSpace(string(result.Stdout)), 64)
	if err != nil {
		return 0, fmt.Errorf("read envd's memory: %w: %s", err, result.Stderr)
	}
	return kibibytes * 1024, nil
}

// zeroes is a stream of transferBytes zero bytes.
func zeroes() io.Reader { return io.LimitReader(endless{}, transferBytes) }

type endless struct{}

func (endless) Read(buffer []byte) (int, error) {
	clear(buffer)
	return len(buffer), nil
}

func upload(ctx context.Context, agent *guest.Agent) error {
	response, err := ask(ctx, agent, http.MethodPost, "/files?path=/home/user/file", zeroes())
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func download(ctx context.Context, agent *guest.Agent) error {
	response, err := ask(ctx, agent, http.MethodGet, "/files?path=/home/user/file", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return drain(response.Body)
}

func drain(from io.Reader) error {
	n, err := io.Copy(io.Discard, from)
	if err == nil && n != transferBytes {
		err = fmt.Errorf("%d bytes came instead of %d", n, transferBytes)
	}
	return err
}

func ask(ctx context.Context, agent *guest.Agent, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, agent.BaseURL+path, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, agent.Header)
	if body != nil {
		request.ContentLength = transferBytes
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := agent.Client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return nil, fmt.Errorf("%s %s is %s: %s", method, path, response.Status, text)
	}
	return response, nil
}

func uploadByHand(ctx context.Context, agent *guest.Agent) error {
	return byHand(ctx, agent, fmt.Sprintf(rawReceive, rawPort), func(conn net.Conn) error {
		_, err := io.Copy(conn, zeroes())
		return errors.Join(err, conn.Close())
	})
}

func downloadByHand(ctx context.Context, agent *guest.Agent) error {
	return byHand(ctx, agent, fmt.Sprintf(rawSend, rawPort), func(conn net.Conn) error {
		return errors.Join(drain(conn), conn.Close())
	})
}

// byHand runs socat in the guest and transfers over a connection to it, until both have
// ended.
func byHand(ctx context.Context, agent *guest.Agent, command string, transfer func(net.Conn) error) error {
	served := make(chan error, 1)
	go func() {
		result, err := agent.Run(ctx, command)
		if err == nil && result.ExitCode != 0 {
			err = fmt.Errorf("%s: %s", command, bytes.TrimSpace(result.Stderr))
		}
		served <- err
	}()
	conn, err := dialRetrying(ctx, agent)
	if err == nil {
		err = transfer(conn)
	}
	return errors.Join(err, <-served)
}

// dialRetrying connects as soon as socat listens.
func dialRetrying(ctx context.Context, agent *guest.Agent) (net.Conn, error) {
	transport, ok := agent.Client.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("the agent is not reached through a plain transport")
	}
	const retryEvery = 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := transport.DialContext(ctx, "tcp", net.JoinHostPort(guestAddress, strconv.Itoa(rawPort)))
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to socat in the guest: %w", err)
		case <-time.After(retryEvery):
		}
	}
}
