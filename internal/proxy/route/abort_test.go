package route_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver/httpservertest"
)

// TestCloseSandbox_ResetsItsStreams looks at the connection itself: an end without
// a reset is the end of an answer for a client of HTTP/1.0, or a broken chunk.
func TestCloseSandbox_ResetsItsStreams(t *testing.T) {
	t.Parallel()
	guest := httpservertest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			w.Header().Set("Content-Length", "1000000")
		}
		if r.URL.Path == "/process.Process/Start" {
			w.Header().Set("Content-Type", "application/connect+json")
		}
		fmt.Fprintln(w, "hello")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	for _, path := range []string{"/chunked", "/long", "/process.Process/Start"} {
		for _, version := range []string{"1.0", "1.1"} {
			t.Run(path+" "+version, func(t *testing.T) {
				t.Parallel()
				h := startHops(t, guest.Listener.Addr().String())
				conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
				require.NoError(t, err)
				defer conn.Close()
				require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
				body := `{"process":{}}`
				_, err = fmt.Fprintf(conn, "POST %s HTTP/%s\r\nHost: x\r\nE2b-Sandbox-Id: %s\r\nE2b-Sandbox-Port: 3000\r\nContent-Length: %d\r\n\r\n%s",
					path, version, sandboxID, len(body), body)
				require.NoError(t, err)
				answers := bufio.NewReader(conn)
				for line := ""; line != "hello\n"; {
					line, err = answers.ReadString('\n')
					require.NoError(t, err)
				}
				h.agent.CloseSandbox(sandboxID)
				rest, err := io.ReadAll(answers)
				require.ErrorIs(t, err, syscall.ECONNRESET, "rest: %q", rest)
				require.NotContains(t, string(rest), "0\r\n\r\n")
			})
		}
	}
}

func TestCloseSandbox_ResetsStreamsOfHTTP2(t *testing.T) {
	t.Parallel()
	guest := httpservertest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	h := startHops(t, guest.Listener.Addr().String())
	for _, contentType := range []string{"application/connect+json", "application/grpc"} {
		request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodPost, h.url, strings.NewReader("{}"))
		require.NoError(t, err)
		request.Header = at(3000)
		request.Header.Set("Content-Type", contentType)
		response, err := httpservertest.HTTP2Client(t).Do(request)
		require.NoError(t, err)
		lines := bufio.NewReader(response.Body)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		h.agent.CloseSandbox(sandboxID)
		_, err = io.ReadAll(lines)
		require.Error(t, err, contentType)
		require.NoError(t, response.Body.Close())
	}
}
