package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
)

const (
	patience = 10 * time.Second
	stall    = 200 * time.Millisecond
)

func start(t *testing.T, stall time.Duration, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(httpserver.Handler(handler, httpserver.Options{Stall: stall}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Config.ConnContext = httpserver.ConnContext
	server.Listener = httpserver.NewListener(server.Listener, httpserver.Limits{})
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}

func clients(t *testing.T) map[string]*http.Client {
	t.Helper()
	all := map[string]*http.Client{}
	for name, choose := range map[string]func(*http.Protocols){
		"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2": func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		choose(transport.Protocols)
		t.Cleanup(transport.CloseIdleConnections)
		all[name] = &http.Client{Transport: transport}
	}
	return all
}

func post(t *testing.T, client *http.Client, url string, body io.Reader) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// answerBody reads the body and says 408 where it was too slow.
func answerBody(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	switch {
	case httpserver.TooSlow(r.Context()):
		w.Header().Set("X-Known", fmt.Sprint(errors.Is(err, httpserver.ErrTooSlow)))
		w.WriteHeader(http.StatusRequestTimeout)
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	default:
		_, _ = w.Write(body)
	}
}

func TestHandler_GivesUpABodyThatStalls(t *testing.T) {
	t.Parallel()
	server := start(t, stall, answerBody)
	for name, client := range clients(t) {
		body, keep := io.Pipe()
		go func() { _, _ = keep.Write([]byte("x")) }()
		response := post(t, client, server.URL, body)
		require.Equal(t, http.StatusRequestTimeout, response.StatusCode, name)
		require.Equal(t, "true", response.Header.Get("X-Known"), name)
		require.Equal(t, name == "HTTP/1", response.Close, "the connection ends, and says so")
		_ = keep.Close()
	}
}

func TestHandler_WaitsForABodyThatMakesProgress(t *testing.T) {
	t.Parallel()
	server := start(t, stall, answerBody)
	for name, client := range clients(t) {
		body, out := io.Pipe()
		go func() {
			ticks := time.NewTicker(stall / 4)
			defer ticks.Stop()
			for range 12 {
				<-ticks.C
				_, _ = out.Write([]byte("x"))
			}
			_ = out.Close()
		}()
		response := post(t, client, server.URL, body)
		got, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "xxxxxxxxxxxx", string(got), name)
	}
}

func TestEndBodyWithin_EndsABodyThatMakesProgress(t *testing.T) {
	t.Parallel()
	server := start(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		httpserver.EndBodyWithin(r.Context(), stall)
		answerBody(w, r)
	})
	for name, client := range clients(t) {
		body, out := io.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			ticks := time.NewTicker(stall / 10)
			defer ticks.Stop()
			for range ticks.C {
				if _, err := out.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		response := post(t, client, server.URL, body)
		require.Equal(t, http.StatusRequestTimeout, response.StatusCode, name)
		_ = body.Close()
		<-ended
	}
}

func TestHandler_WaitsForTheBodyOfAnAnswerThatHasBegun(t *testing.T) {
	t.Parallel()
	server := start(t, stall, func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		_ = controller.EnableFullDuplex()
		_, _ = io.WriteString(w, "begun\n")
		_ = controller.Flush()
		answerBody(w, r)
	})
	for name, client := range clients(t) {
		body, out := io.Pipe()
		response := post(t, client, server.URL, body)
		begun := make([]byte, 6)
		_, err := io.ReadFull(response.Body, begun)
		require.NoError(t, err)
		<-time.After(2 * stall)
		go func() { _, _ = out.Write([]byte("late")); _ = out.Close() }()
		rest, err := io.ReadAll(response.Body)
		require.NoError(t, err, name)
		require.Equal(t, "late", string(rest), name)
	}
}

func TestHandler_StopsWhoStillReadsWhenTheAnswerIsGiven(t *testing.T) {
	t.Parallel()
	outcome := make(chan error, 1)
	server := start(t, 0, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		go func() {
			_, err := io.Copy(io.Discard, r.Body)
			_, err2 := r.Body.Read(make([]byte, 1))
			outcome <- errors.Join(err, err2)
		}()
		_, _ = io.WriteString(w, "answer")
	})
	for name, client := range clients(t) {
		for range 20 {
			body, out := io.Pipe()
			response := post(t, client, server.URL, body)
			got, err := io.ReadAll(response.Body)
			require.NoError(t, err, name)
			require.Equal(t, "answer", string(got), name)
			require.Error(t, <-outcome, name)
			_ = out.Close()
		}
	}
}

func TestHandler_ResetsAConnectionWhoseAnswerIsBrokenOff(t *testing.T) {
	t.Parallel()
	server := start(t, 0, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, body := range []string{"", "x"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		require.NoError(t, err)
		_, err = io.ReadAll(conn)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.NoError(t, conn.Close())
	}
}

func TestListener_BoundsTheConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	const most = 3
	server := httptest.NewUnstartedServer(http.HandlerFunc(answerBody))
	server.Listener = httpserver.NewListener(server.Listener, httpserver.Limits{PerAddress: most})
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ask := func(conn net.Conn) int {
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		return response.StatusCode
	}
	var open []net.Conn
	for range most {
		open = append(open, dial())
	}
	for _, conn := range open {
		require.Equal(t, http.StatusOK, ask(conn))
	}
	response, err := http.ReadResponse(bufio.NewReader(dial()), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.NoError(t, open[0].Close())
	require.Eventually(t, func() bool {
		conn := dial()
		defer conn.Close()
		return ask(conn) == http.StatusOK
	}, patience, 10*time.Millisecond, "there is room again")
}
