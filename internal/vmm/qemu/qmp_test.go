package qemu

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

const greeting = `{"QMP": {"version": {}, "capabilities": []}}`

// serveQMP answers one client as QEMU does, the nth command with the nth answer.
func serveQMP(t *testing.T, answers ...string) *monitor {
	t.Helper()
	return serveClients(t, greetAndAnswer(answers...))
}

// greetAndAnswer serves one client until it disconnects.
func greetAndAnswer(answers ...string) func(net.Conn) {
	return func(conn net.Conn) {
		fmt.Fprintln(conn, greeting)
		lines := bufio.NewScanner(conn)
		for _, answer := range append([]string{`{"return": {}}`}, answers...) {
			if !lines.Scan() {
				return
			}
			fmt.Fprintln(conn, answer)
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

// serveClients serves clients one after the other, as QEMU does.
func serveClients(t *testing.T, clients ...func(net.Conn)) *monitor {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monitor")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		for _, serve := range clients {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn)
			conn.Close()
		}
	}()
	m, err := openMonitor(path, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		m.close()
		listener.Close()
		<-served
	})
	return m
}

// soon bounds a command that gets no answer.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestMonitor_SkipsEventsBeforeTheAnswer(t *testing.T) {
	m := serveQMP(t, `{"event": "STOP"}`+"\n"+`{"return": {"status": "paused"}}`)
	var answer struct{ Status string }
	require.NoError(t, m.execute(t.Context(), "query-status", nil, &answer))
	require.Equal(t, "paused", answer.Status)
}

func TestMonitor_ReportsWhatQEMURefusesAndGoesOn(t *testing.T) {
	m := serveQMP(t, `{"error": {"class": "GenericError", "desc": "no such device"}}`, `{"return": {}}`)
	err := m.execute(t.Context(), "ringbuf-read", map[string]any{"device": "x"}, nil)
	var refusal *commandError
	require.ErrorAs(t, err, &refusal)
	require.EqualError(t, err, "ringbuf-read: no such device")
	require.NoError(t, m.execute(t.Context(), "stop", nil, nil), "on the same connection: there is no second one")
}

func TestMonitor_DoesNotTakeALateAnswerForTheNextOne(t *testing.T) {
	given := make(chan struct{})
	m := serveClients(t,
		func(conn net.Conn) {
			greetAndAnswerTo(conn)
			<-given
			fmt.Fprintln(conn, `{"return": {"status": "late"}}`)
		},
		greetAndAnswer(`{"return": {"status": "in time"}}`))
	require.ErrorIs(t, m.execute(soon(t), "query-status", nil, nil), context.DeadlineExceeded)
	close(given)
	var answer struct{ Status string }
	require.NoError(t, m.execute(t.Context(), "query-status", nil, &answer))
	require.Equal(t, "in time", answer.Status)
}

func TestMonitor_SurvivesACallerThatIsGoneAlready(t *testing.T) {
	m := serveQMP(t, `{"return": {}}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.execute(ctx, "stop", nil, nil), context.Canceled)
	require.NoError(t, m.execute(t.Context(), "cont", nil, nil))
}

func TestMonitor_FindsItsSocketAfterARename(t *testing.T) {
	parent := t.TempDir()
	before, after := filepath.Join(parent, "before"), filepath.Join(parent, "after")
	require.NoError(t, os.Mkdir(before, 0o700))
	listener, err := net.Listen("unix", filepath.Join(before, "monitor"))
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			defer conn.Close()
			greetAndAnswer(`{"return": {}}`)(conn)
		}
	}()
	m, err := openMonitor(filepath.Join(before, "monitor"), nil)
	require.NoError(t, err)
	defer m.close()
	require.NoError(t, os.Rename(before, after))
	require.NoError(t, m.execute(t.Context(), "cont", nil, nil))
}

func TestMonitor_GivesUpOnOneThatNeverGreets(t *testing.T) {
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	m := serveClients(t, silent, greetAndAnswer(`{"return": {}}`))
	require.ErrorIs(t, m.execute(soon(t), "stop", nil, nil), context.DeadlineExceeded)
	require.NoError(t, m.execute(t.Context(), "stop", nil, nil))
}

func TestMonitor_RefusesAnEndlessAnswer(t *testing.T) {
	for name, piece := range map[string]string{
		"OneLine":   `"more", `,
		"ManyLines": `"more",` + "\n",
		"Blanks":    " \n",
	} {
		t.Run(name, func(t *testing.T) {
			m := serveClients(t, func(conn net.Conn) {
				greetAndAnswerTo(conn)
				_, err := io.WriteString(conn, `{"return": [`)
				for err == nil {
					_, err = io.WriteString(conn, strings.Repeat(piece, 1000))
				}
			})
			require.ErrorContains(t, m.execute(t.Context(), "stop", nil, nil), "longer than")
		})
	}
}

// greetAndAnswerTo serves a client up to its first command.
func greetAndAnswerTo(conn net.Conn) {
	fmt.Fprintln(conn, greeting)
	lines := bufio.NewScanner(conn)
	lines.Scan()
	fmt.Fprintln(conn, `{"return": {}}`)
	lines.Scan()
}

func TestMonitor_SaysThatQEMUIsGone(t *testing.T) {
	m := serveClients(t, greetAndAnswerTo)
	require.ErrorIs(t, m.execute(t.Context(), "stop", nil, nil), vmm.ErrNotRunning)
}

func TestMonitor_SaysThatNobodyListensAnyMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "monitor")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	listener.SetUnlinkOnClose(false)
	m, err := openMonitor(path, nil)
	require.NoError(t, err)
	defer m.close()
	require.NoError(t, listener.Close())
	err = m.execute(t.Context(), "stop", nil, nil)
	require.ErrorIs(t, err, vmm.ErrNotRunning)
	require.ErrorIs(t, err, unix.ECONNREFUSED)
}
