package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
)

func TestBodies_ThatComeTooSlowlyAreGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server.BodyTime = 100 * time.Millisecond
	server := httptest.NewServer(httpserver.Handler(w.http.Config.Handler, httpserver.Options{Stall: time.Hour}))
	t.Cleanup(server.Close)
	body, out := io.Pipe()
	go func() { _, _ = out.Write([]byte("{")) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/auth/login", body)
	require.NoError(t, err)
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
	require.True(t, response.Close)
	_ = out.Close()
}
