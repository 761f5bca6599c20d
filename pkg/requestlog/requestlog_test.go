package requestlog_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

func TestHandler_AddsTheRequestOfTheContext(t *testing.T) {
	t.Parallel()
	request := requestlog.Begin(t.Context(), "request-1")
	inner, cancel := context.WithCancel(request)
	defer cancel()
	requestlog.SetTeam(inner, "team-1")
	requestlog.SetSandbox(inner, "sandbox-1")
	for name, test := range map[string]struct {
		log  func(*slog.Logger)
		want map[string]any
	}{
		"all of it, also with a context above": {
			func(log *slog.Logger) { log.InfoContext(request, "m") },
			map[string]any{"request": "request-1", "team": "team-1", "sandbox": "sandbox-1"},
		},
		"not what the record names itself": {
			func(log *slog.Logger) { log.InfoContext(inner, "m", "sandbox", "other") },
			map[string]any{"request": "request-1", "team": "team-1", "sandbox": "other"},
		},
		"not what the logger names itself": {
			func(log *slog.Logger) { log.With("team", "other").InfoContext(inner, "m") },
			map[string]any{"request": "request-1", "team": "other", "sandbox": "sandbox-1"},
		},
		"nothing without a request": {
			func(log *slog.Logger) { log.InfoContext(context.Background(), "m", "a", "b") },
			map[string]any{"a": "b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			test.log(slog.New(requestlog.NewHandler(requestlog.NewHandler(slog.NewJSONHandler(&out, nil)))))
			got := map[string]any{}
			require.NoError(t, json.Unmarshal([]byte(out.String()), &got), "one object without a key twice: %s", &out)
			for _, key := range []string{"time", "level", "msg"} {
				delete(got, key)
			}
			require.Equal(t, test.want, got)
			require.Equal(t, len(test.want)+3, strings.Count(out.String(), `":"`), out.String())
		})
	}
}

func TestSend_SetsTheHeadersOfARequest(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	requestlog.Send(t.Context(), header)
	require.Empty(t, header)
	ctx := requestlog.Begin(t.Context(), "request-1")
	requestlog.SetTeam(ctx, "team-1")
	requestlog.Send(ctx, header)
	require.Equal(t, "request-1", header.Get(requestlog.Header))
	require.Equal(t, "team-1", header.Get("Wrenn-Team"))
}

func TestIsID_RefusesWhatCouldForgeALogLine(t *testing.T) {
	t.Parallel()
	require.True(t, requestlog.IsID(requestlog.NewID()))
	for _, text := range []string{"", "short", "a b c d e f g h", "line\nbreak", strings.Repeat("a", 65)} {
		require.False(t, requestlog.IsID(text), "%q", text)
	}
}
