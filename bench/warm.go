package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/test/e2e/installation"
)

// measureWarm creates sandboxes from guests that are held ready, in turns with a restore
// by hand. Both wait until a guest is ready: making one would slow the other side.
func measureWarm(ctx context.Context, wrenn *installation.Installation, rounds int, into *measurements) (err error) {
	fmt.Fprintln(os.Stderr, "creates from guests held ready")
	hand, err := prepareHand(ctx, wrenn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hand.close()) }()
	byHand := &measurements{}
	for range rounds {
		if err := awaitReadyGuest(ctx, wrenn); err != nil {
			return err
		}
		if err := hand.measure(ctx, byHand); err != nil {
			return err
		}
		if err := measureCreate(ctx, wrenn, &into.createWarm); err != nil {
			return err
		}
	}
	into.warmByHand = byHand.createByHand
	return nil
}

// awaitReadyGuest waits until the host agent holds a guest ready.
func awaitReadyGuest(ctx context.Context, wrenn *installation.Installation) error {
	const patience, pollEvery = time.Minute, 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	socket := filepath.Join(wrenn.DataDir, "run", "host-agent.sock")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	agent := hostagentv1connect.NewHostAgentClient(&http.Client{Transport: transport}, "http://host-agent")
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		info, err := agent.GetInfo(ctx, connect.NewRequest(&pb.GetInfoRequest{}))
		if err != nil {
			return fmt.Errorf("ask the host agent for guests held ready: %w", err)
		}
		if info.Msg.GetReadyCount() > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("no guest is held ready")
		case <-poll.C:
		}
	}
}
