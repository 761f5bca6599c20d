package guest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/meter"
	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// fakeMachine is a VM that ends when the test says so.
type fakeMachine struct {
	vmm.Machine
	done chan struct{}
}

func (m *fakeMachine) Done() <-chan struct{} { return m.done }
func (*fakeMachine) ExitReason() string      { return "it was switched off" }

// guestOf is a guest whose agent is a handler, at a loopback address of the test's own.
func guestOf(t *testing.T, address string, agent http.Handler) (*Guest, *fakeMachine) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(envdclient.Port)))
	require.NoError(t, err)
	server := &http.Server{Handler: agent, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	machine := &fakeMachine{done: make(chan struct{})}
	return &Guest{machine: machine, envd: envdclient.New(netip.MustParseAddr(address))}, machine
}

// start runs a question in a goroutine.
func start(ask func()) bool {
	go ask()
	return true
}

func TestAsk_AsksANewGuestLaterAndThenOnceInAWhile(t *testing.T) {
	t.Parallel()
	g, _ := guestOf(t, "127.0.9.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"mem_total":4,"mem_used":3}`))
	}))
	reports := make(chan meter.GuestSample, 2)
	answered := func(report meter.GuestSample) { reports <- report }
	g.Ask(t.Context(), start, answered)
	require.WithinDuration(t, time.Now().Add(askFirst), g.question.next, time.Second)

	g.question.next = time.Now()
	g.Ask(t.Context(), func(func()) bool { return false }, answered)
	require.Nil(t, g.question.done, "too many guests are being asked")
	g.Ask(t.Context(), start, answered)
	report := <-reports
	require.Equal(t, uint64(3), report.MemoryUsedBytes)
	require.WithinDuration(t, time.Now(), report.At, time.Minute)
	g.Ask(t.Context(), start, answered)
	g.stopAsking()
	require.Empty(t, reports)
}

func TestQuiet_EndsAQuestionThatWasNotAnswered(t *testing.T) {
	t.Parallel()
	asked, calls := make(chan struct{}), make(chan string, 8)
	g, _ := guestOf(t, "127.0.9.2", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			close(asked)
			<-r.Context().Done()
			return
		}
		calls <- r.URL.Path
	}))
	g.question.next = time.Now()
	g.Ask(t.Context(), start, func(meter.GuestSample) { t.Error("there was no answer") })
	<-asked
	require.NoError(t, g.Quiet(t.Context(), envdclient.Preparation{}))
	<-g.question.done
	require.Equal(t, "/freeze", <-calls)
	require.Equal(t, "/snapshot/prepare", <-calls)
}

func TestQuiet_EndsWithTheVM(t *testing.T) {
	t.Parallel()
	called := make(chan struct{})
	g, machine := guestOf(t, "127.0.9.3", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(called)
		<-r.Context().Done()
	}))
	go func() {
		<-called
		close(machine.done)
	}()
	err := g.Quiet(t.Context(), envdclient.Preparation{})
	require.ErrorIs(t, err, vmm.ErrNotRunning)
	require.ErrorContains(t, err, "it was switched off")
}

func TestQuiet_BlamesTheGuestUnlessItWasCancelled(t *testing.T) {
	t.Parallel()
	g, _ := guestOf(t, "127.0.9.4", http.NotFoundHandler())
	var failed *Error
	require.ErrorAs(t, g.Quiet(t.Context(), envdclient.Preparation{}), &failed)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	err := g.FreezeFilesystem(cancelled)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorAs(t, err, &failed)
}

func TestWake_StaysPendingUntilTheAgentAnswers(t *testing.T) {
	t.Parallel()
	status := http.StatusInternalServerError
	g, _ := guestOf(t, "127.0.9.5", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	require.Error(t, g.Trust(t.Context(), "certificate"))
	require.True(t, g.IsPending())
	require.True(t, g.RetryIsDue())
	require.Error(t, g.RetryPending(t.Context()))
	require.False(t, g.RetryIsDue(), "the next attempt comes later")
	status = http.StatusNoContent
	require.NoError(t, g.RetryPending(t.Context()))
	require.False(t, g.IsPending())
	require.NoError(t, g.Trust(t.Context(), "certificate"), "it is told once")
}
