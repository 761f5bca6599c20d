package forward_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver/httpservertest"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
)

func TestForward_SpeaksTLSWithWhateverCertificate(t *testing.T) {
	t.Parallel()
	guest := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/socket" {
			socket, err := websocket.Accept(w, r, nil)
			if err == nil {
				_ = socket.Write(r.Context(), websocket.MessageText, []byte("hello"))
				_ = socket.CloseNow()
			}
			return
		}
		_, _ = io.WriteString(w, r.Host)
	}))
	t.Cleanup(guest.Close)
	forwarder := forward.New(slog.New(slog.DiscardHandler))
	t.Cleanup(forwarder.Close)
	front := httpservertest.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		forwarder.Forward(w, r, forward.Target{
			SandboxID: "isandbox", Port: 8443, Network: "tcp", Address: guest.Listener.Addr().String(), TLS: true,
		})
	}))
	response, err := http.Get(front.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "body: %s", body)
	require.Equal(t, strings.TrimPrefix(front.URL, "http://"), string(body))

	socket, _, err := websocket.Dial(t.Context(), front.URL+"/socket", nil)
	require.NoError(t, err)
	_, message, err := socket.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "hello", string(message))
	_ = socket.CloseNow()
}
