package qemu

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serveQMP answers like QEMU, line by line; QEMU itself is talked to by the
// tests that run VMs. answers maps a line's place to what is sent for it.
func serveQMP(t *testing.T, answers ...string) *monitor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monitor")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintln(conn, `{"QMP": {"version": {}, "capabilities": []}}`)
		lines := bufio.NewScanner(conn)
		for _, answer := range append([]string{`{"return": {}}`}, answers...) {
			if !lines.Scan() {
				return
			}
			fmt.Fprintln(conn, answer)
		}
		for lines.Scan() { // until the client leaves
		}
	}()
	m, err := dialMonitor(t.Context(), path, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		m.close()
		listener.Close()
		<-served
	})
	return m
}

func TestMonitor_SkipsEventsBeforeTheAnswer(t *testing.T) {
	m := serveQMP(t, `{"event": "STOP"}`+"\n"+`{"return": {"status": "paused"}}`)
	var answer struct{ Status string }
	require.NoError(t, m.execute(t.Context(), "query-status", nil, &answer))
	require.Equal(t, "paused", answer.Status)
}

func TestMonitor_ReportsWhatQEMURefuses(t *testing.T) {
	m := serveQMP(t, `{"error": {"class": "GenericError", "desc": "no such device"}}`)
	err := m.execute(t.Context(), "ringbuf-read", map[string]any{"device": "x"}, nil)
	var refusal *commandError
	require.ErrorAs(t, err, &refusal)
	require.EqualError(t, err, "ringbuf-read: no such device")
}

func TestMonitor_GivesUpWhenTheContextEnds(t *testing.T) {
	m := serveQMP(t) // never answers the command
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, m.execute(ctx, "stop", nil, nil), context.DeadlineExceeded)
}

func TestMonitor_SaysThatQEMUIsGone(t *testing.T) {
	m := serveQMP(t, "")
	m.conn.Close()
	require.Error(t, m.execute(t.Context(), "stop", nil, nil))
}
