package route_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver/httpservertest"
)

// earlyBody is what a guest answers before it has read a request's body.
var earlyBody = strings.Repeat("an answer that must arrive whole\n", 500)

// earlyGuest answers by path, and never reads a body: as net/http does it, or as
// a crude server that closes at once.
func earlyGuest(w http.ResponseWriter, r *http.Request) {
	path, crude := strings.CutPrefix(r.URL.Path, "/crude")
	status, closes := http.StatusOK, strings.HasSuffix(path, "/close")
	if strings.HasPrefix(path, "/413") {
		status = http.StatusRequestEntityTooLarge
	}
	if !crude {
		if closes {
			w.Header().Set("Connection", "close")
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(earlyBody)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, earlyBody)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), len(earlyBody), earlyBody)
}

func TestForward_AnswersGivenBeforeTheBodyIsReadArriveWhole(t *testing.T) {
	t.Parallel()
	const repeats = 3
	guest := httpservertest.Start(t, http.HandlerFunc(earlyGuest))
	h := startHops(t, guest.Listener.Addr().String())
	t.Cleanup(func() { require.NotContains(t, h.log.String(), "panic") })
	next := httpservertest.Question{Method: http.MethodGet, Path: "/next", Header: at(3000)}
	for _, to := range []struct {
		port   int
		path   string
		status int
	}{
		{closedGuestPort, "/closed", http.StatusBadGateway},
		{3000, "/413", http.StatusRequestEntityTooLarge},
		{3000, "/413/close", http.StatusRequestEntityTooLarge},
		{3000, "/crude/413/close", http.StatusRequestEntityTooLarge},
		{3000, "/200", http.StatusOK},
		{3000, "/crude/200/close", http.StatusOK},
	} {
		for _, q := range httpservertest.Variants(httpservertest.Question{Method: http.MethodPost, Path: to.path, Header: at(to.port)}) {
			t.Run(q.String(), func(t *testing.T) {
				t.Parallel()
				for range repeats {
					first, second := httpservertest.Ask(t, h.url, q, next)
					require.Equal(t, to.status, first.Status, "%s", first.Body)
					if to.port == closedGuestPort {
						require.Contains(t, string(first.Body), "nothing listens")
					} else {
						require.Equal(t, earlyBody, string(first.Body))
					}
					if second.Status != 0 {
						require.Equal(t, httpservertest.Answer{Status: http.StatusOK, Body: []byte(earlyBody)}, second)
					}
				}
			})
		}
	}
}

func TestForward_GivesUpABodyThatStalls(t *testing.T) {
	t.Parallel()
	guest := httpservertest.Start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	h := startHopsWith(t, guest.Listener.Addr().String(), httpserver.Options{Stall: 100 * time.Millisecond})
	for name, client := range map[string]*http.Client{"HTTP/1": {Transport: &http.Transport{}}, "HTTP/2": httpservertest.HTTP2Client(t)} {
		for range 5 {
			body, out := io.Pipe()
			go func() { _, _ = out.Write([]byte("x")) }()
			request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodPost, h.url, body)
			require.NoError(t, err)
			request.Header = at(3000)
			response, err := client.Do(request)
			require.NoError(t, err, name)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusRequestTimeout, response.StatusCode, name)
			_ = out.Close()
		}
	}
}

func TestForward_WaitsForTheMessagesOfAStream(t *testing.T) {
	t.Parallel()
	const stall = 100 * time.Millisecond
	guest := httpservertest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	h := startHopsWith(t, guest.Listener.Addr().String(), httpserver.Options{Stall: stall})
	for _, kind := range []string{"application/connect+json", "application/grpc"} {
		body, out := io.Pipe()
		go func() {
			_, _ = out.Write([]byte("first "))
			<-time.After(4 * stall)
			_, _ = out.Write([]byte("second"))
			_ = out.Close()
		}()
		request, err := http.NewRequestWithContext(httpservertest.Context(t), http.MethodPost, h.url, body)
		require.NoError(t, err)
		request.Header = at(3000)
		request.Header.Set("Content-Type", kind)
		response, err := httpservertest.HTTP2Client(t).Do(request)
		require.NoError(t, err)
		got, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "first second", string(got), kind)
	}
}
