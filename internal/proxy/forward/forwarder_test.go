package forward_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver/httpservertest"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
)

const patience = 10 * time.Second

// forwardTo starts a forwarding server in front of a guest.
func forwardTo(t *testing.T, guest http.Handler) (*httptest.Server, *forward.Forwarder) {
	t.Helper()
	return forwardWith(t, "tcp", httpservertest.Start(t, guest).Listener.Addr().String())
}

func forwardWith(t *testing.T, network, address string) (*httptest.Server, *forward.Forwarder) {
	t.Helper()
	forwarder := forward.New(slog.New(slog.DiscardHandler))
	t.Cleanup(forwarder.Close)
	return httpservertest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarder.Forward(w, r, forward.Target{SandboxID: "isandbox", Port: 3000, Network: network, Address: address})
	})), forwarder
}

func TestForward_KeepsPathQueryHostAndHeaders(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Answer", r.Header.Get("X-Question"))
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %q", r.Method, r.Host, r.RequestURI, r.Header.Get("Proxy-Authorization"))
	}))
	request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodPatch, front.URL+"/a%2Fb/c?x=1;y=%20", nil)
	require.NoError(t, err)
	request.Host = "3000-isandbox.example.com"
	request.Header.Set("X-Question", "why")
	request.Header.Set("Proxy-Authorization", "hop by hop")

	response, err := front.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, response.StatusCode)
	require.Equal(t, "why", response.Header.Get("X-Answer"))
	require.Equal(t, `PATCH 3000-isandbox.example.com /a%2Fb/c?x=1;y=%20 ""`, string(body))
}

func TestForward_StreamsEachLineAsItComes(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for line := range next {
			fmt.Fprintln(w, line)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodGet, front.URL, nil)
	require.NoError(t, err)
	go func() { next <- "first" }()
	response, err := front.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	require.True(t, lines.Scan(), "the first line must come while the guest still writes: %v", lines.Err())
	require.Equal(t, "first", lines.Text())
	next <- "second"
	require.True(t, lines.Scan(), "%v", lines.Err())
	require.Equal(t, "second", lines.Text())
	close(next)
	require.False(t, lines.Scan())
}

func TestForward_CarriesBothDirectionsAtOnce(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		_ = controller.EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintln(w, "echo "+lines.Text())
			_ = controller.Flush()
		}
	}))
	for name, client := range map[string]*http.Client{"HTTP/1.1": front.Client(), "h2c": httpservertest.HTTP2Client(t)} {
		t.Run(name, func(t *testing.T) {
			reader, writer := io.Pipe()
			request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodPost, front.URL, reader)
			require.NoError(t, err)
			written := make(chan error, 1)
			go func() { _, err := fmt.Fprintln(writer, "one"); written <- err }()
			response, err := client.Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			require.NoError(t, <-written)
			lines := bufio.NewScanner(response.Body)
			require.True(t, lines.Scan(), "%v", lines.Err())
			require.Equal(t, "echo one", lines.Text())
			_, err = fmt.Fprintln(writer, "two")
			require.NoError(t, err)
			require.True(t, lines.Scan(), "%v", lines.Err())
			require.Equal(t, "echo two", lines.Text())
			require.NoError(t, writer.Close())
			require.False(t, lines.Scan())
		})
	}
}

func TestForward_CarriesWebSocketMessages(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			_ = conn.Write(r.Context(), kind, append([]byte("echo "), message...))
		}
	}))
	ctx := httpservertest.Context(t)
	conn, _, err := websocket.Dial(ctx, front.URL, nil)
	require.NoError(t, err)
	defer conn.CloseNow()
	for _, message := range []string{"one", "two"} {
		require.NoError(t, conn.Write(ctx, websocket.MessageText, []byte(message)))
		_, answer, err := conn.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, "echo "+message, string(answer))
	}
	require.NoError(t, conn.Close(websocket.StatusNormalClosure, ""))
}

func TestForward_SpeaksHTTP2ToGRPCOnlyAndKeepsTrailers(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		w.Header().Set("X-Protocol", r.Proto)
		w.Header().Set("X-Te", r.Header.Get("Te"))
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		w.Header().Set("Grpc-Status", "0")
	}))
	for contentType, protocol := range map[string]string{"application/grpc": "HTTP/2.0", "application/json": "HTTP/1.1"} {
		t.Run(contentType, func(t *testing.T) {
			request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodPost, front.URL, strings.NewReader("payload"))
			require.NoError(t, err)
			request.Header.Set("Content-Type", contentType)
			request.Header.Set("Te", "trailers")
			response, err := httpservertest.HTTP2Client(t).Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, "payload", string(body))
			require.Equal(t, protocol, response.Header.Get("X-Protocol"))
			require.Equal(t, "trailers", response.Header.Get("X-Te"))
			require.Equal(t, "0", response.Trailer.Get("Grpc-Status"))
		})
	}
}

func TestForward_CarriesLargeBodiesUnchanged(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	payload := make([]byte, 4<<20)
	_, _ = rand.Read(payload)
	response, err := front.Client().Post(front.URL, "application/octet-stream", bytes.NewReader(payload))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(payload, body), "%d bytes went in, %d other bytes came back", len(payload), len(body))
}

func TestForward_LeavesCompressedAnswersAlone(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
	}))
	request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodGet, front.URL, nil)
	require.NoError(t, err)
	response, err := (&http.Transport{DisableCompression: true}).RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Empty(t, response.Header.Get("X-Asked"))
}

func TestForward_EndsTheGuestsRequestWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	started, ended := make(chan struct{}), make(chan struct{})
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		close(started)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, leave := context.WithCancel(httpservertest.Context(t))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL, nil)
	require.NoError(t, err)
	response, err := front.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	<-started
	leave()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the guest's request outlived its client")
	}
}

func TestCloseSandbox_EndsItsStreams(t *testing.T) {
	t.Parallel()
	front, forwarder := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodGet, front.URL, nil)
	require.NoError(t, err)
	response, err := front.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	require.True(t, lines.Scan())
	forwarder.CloseSandbox("isandbox")
	require.False(t, lines.Scan())
	require.Error(t, lines.Err(), "a cut stream must not look like a finished one")
}

func TestForward_SaysWhyATargetCannotAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		network, address string
		status           int
	}{
		"port closed":    {"tcp", closedPort(t), http.StatusBadGateway},
		"guest hangs up": {"tcp", hangUpPort(t), http.StatusBadGateway},
		"host is away":   {"unix", filepath.Join(t.TempDir(), "nobody.sock"), http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			front, _ := forwardWith(t, test.network, test.address)
			response, err := front.Client().Get(front.URL)
			require.NoError(t, err)
			defer response.Body.Close()
			var failure forward.Failure
			require.NoError(t, json.NewDecoder(response.Body).Decode(&failure))
			require.Equal(t, test.status, response.StatusCode)
			require.Equal(t, test.status, failure.Code)
			require.Equal(t, "isandbox", failure.SandboxID)
			require.EqualValues(t, 3000, failure.Port)
			require.NotEmpty(t, failure.Message)
		})
	}
}

// closedPort is an address that refuses connections.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// hangUpPort is an address whose server closes every connection at once.
func hangUpPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener.Addr().String()
}

func TestForward_NeverLetsAClientUpgradeToHTTP2(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.Header.Get("Upgrade"), r.Header.Get("Connection"), r.Header.Get("HTTP2-Settings"))
	}))
	request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodGet, front.URL, nil)
	require.NoError(t, err)
	request.Header.Set("Connection", "Upgrade, HTTP2-Settings")
	request.Header.Set("Upgrade", "h2c")
	request.Header.Set("HTTP2-Settings", "AAMAAABkAAQAAP__")
	response, err := front.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, `"" "" ""`, string(body))
}

func TestForward_PassesNoHeadWithoutEnd(t *testing.T) {
	t.Parallel()
	front, _ := forwardTo(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Much", strings.Repeat("x", 128<<10))
	}))
	for contentType, client := range map[string]*http.Client{"application/json": front.Client(), "application/grpc": httpservertest.HTTP2Client(t)} {
		request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodPost, front.URL, nil)
		require.NoError(t, err)
		request.Header.Set("Content-Type", contentType)
		response, err := client.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusBadGateway, response.StatusCode, contentType)
	}
}
