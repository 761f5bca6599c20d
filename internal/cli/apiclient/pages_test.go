package apiclient

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAll_AsksForEachPageWithTheSameQuery(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/things" || r.URL.Query().Get("kind") != "a" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		switch r.URL.Query().Get("nextToken") {
		case "":
			w.Header().Set("X-Next-Token", "second")
			_, _ = fmt.Fprint(w, `["one","two"]`)
		case "second":
			_, _ = fmt.Fprint(w, `["three"]`)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	a := &API{URL: server.URL, HTTP: server.Client()}
	query := url.Values{"kind": {"a"}}
	all, err := All[string](t.Context(), a, "/things", query)
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two", "three"}, all)
	require.Equal(t, url.Values{"kind": {"a"}}, query, "the caller's query stays")
	_, err = All[string](t.Context(), a, "/things", nil)
	require.Error(t, err)
}
