package envdclient

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clientOf talks to a guest that answers as it likes.
func clientOf(t *testing.T, guest http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(guest)
	t.Cleanup(server.Close)
	client := New(netip.MustParseAddr("127.0.0.1"))
	client.base = server.URL
	return client
}

func TestMetrics_TakesWhatAGuestSays(t *testing.T) {
	t.Parallel()
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Access-Token") != "token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte(`{"ts":1,"cpu_count":1,"cpu_used_pct":1.5,"mem_total":4,"mem_used":3,"mem_cache":2,"disk_used":1,"disk_total":5}`))
	})
	report, err := client.Metrics(t.Context(), "token")
	require.NoError(t, err)
	require.Equal(t, Metrics{MemoryTotal: 4, MemoryUsed: 3, MemoryCache: 2, DiskUsed: 1, DiskTotal: 5}, report)
}

func TestMetrics_BoundsAHostileGuest(t *testing.T) {
	t.Parallel()
	flood := strings.Repeat(" ", 1<<20)
	for name, guest := range map[string]http.HandlerFunc{
		"floods":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(flood + `{}`)) },
		"headers":     func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", flood) },
		"garbage":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("\x00\xff")) },
		"negative":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"mem_used":-1}`)) },
		"too large":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"mem_used":1e99}`)) },
		"refuses":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"no answer":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"breaks away": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := clientOf(t, guest).Metrics(ctx, "token")
			require.Error(t, err)
		})
	}
}

func TestClient_DoesNotCallWhomAGuestNames(t *testing.T) {
	t.Parallel()
	called := make(chan struct{}, 10)
	victim := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called <- struct{}{} }))
	t.Cleanup(victim.Close)
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, victim.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := client.Metrics(t.Context(), "token")
	require.ErrorContains(t, err, "307")
	_, err = client.Init(t.Context(), "token", Init{Secret: "secret"})
	require.ErrorContains(t, err, "307")
	require.ErrorContains(t, client.AwaitHealthy(t.Context()), "307")
	require.Empty(t, called)
}
