package forward_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver/httpservertest"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
)

func TestForward_CarriesOnlySoManyRequestsToASandbox(t *testing.T) {
	t.Parallel()
	const most = 1024
	started := make(chan struct{}, most)
	front, forwarder := forwardTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			started <- struct{}{}
			<-r.Context().Done()
		}
	}))
	client := httpservertest.HTTP2Client(t)
	ctx, leave := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	t.Cleanup(asking.Wait)
	t.Cleanup(leave)
	ask := func(path string) (*http.Response, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, front.URL+path, nil)
		if err != nil {
			return nil, err
		}
		return client.Do(request)
	}
	for range most {
		asking.Go(func() {
			if response, err := ask("/wait"); err == nil {
				response.Body.Close()
			}
		})
	}
	for range most {
		select {
		case <-started:
		case <-time.After(patience):
			t.Fatal("not so many requests are carried")
		}
	}
	response, err := ask("/")
	require.NoError(t, err)
	defer response.Body.Close()
	var failure forward.Failure
	require.NoError(t, json.NewDecoder(response.Body).Decode(&failure))
	require.Equal(t, http.StatusServiceUnavailable, failure.Code)
	require.Contains(t, failure.Message, "too much at once")
	forwarder.CloseSandbox("isandbox")
	require.Eventually(t, func() bool {
		response, err := ask("/")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode == http.StatusOK
	}, patience, time.Millisecond, "there is room again")
}

func TestCloseSandbox_EndsWhatIsBeingDialled(t *testing.T) {
	t.Parallel()
	for name, endsWithContext := range map[string]bool{"a dial that endsWithContext its context": true, "a dial that comes too late": false} {
		t.Run(name, func(t *testing.T) {
			forwarder := forward.New(slog.New(slog.DiscardHandler))
			t.Cleanup(forwarder.Close)
			dialling, stopped := make(chan struct{}), make(chan struct{})
			ours, theirs := net.Pipe()
			target := forward.Target{SandboxID: "isandbox", Port: 3000, Dial: func(ctx context.Context, _ bool) (net.Conn, error) {
				close(dialling)
				if endsWithContext {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				<-stopped
				return ours, nil
			}}
			front := httpservertest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { forwarder.Forward(w, r, target) }))
			status := make(chan int, 1)
			go func() {
				defer close(status)
				if response, err := front.Client().Get(front.URL); err == nil {
					response.Body.Close()
					status <- response.StatusCode
				}
			}()
			<-dialling
			forwarder.CloseSandbox("isandbox")
			close(stopped)
			if !endsWithContext {
				require.NoError(t, theirs.SetReadDeadline(time.Now().Add(patience)))
				_, err := theirs.Read(make([]byte, 1))
				require.ErrorContains(t, err, "EOF", "nothing is sent to the address's new owner")
			}
			require.Equal(t, http.StatusServiceUnavailable, <-status)
		})
	}
}
