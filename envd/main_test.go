package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServe_AnswersOverHTTP1AndHTTP2UntilItIsToldToStop(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var logged bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- serve(ctx, listener, &cgroups.Groups{}, slog.New(slog.NewJSONHandler(&logged, nil)))
	}()
	for _, choose := range []func(*http.Protocols){
		func(p *http.Protocols) { p.SetHTTP1(true) },
		func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		choose(transport.Protocols)
		client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		response, err := client.Get("http://" + listener.Addr().String() + "/health")
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		transport.CloseIdleConnections()
	}
	stop()
	require.NoError(t, <-served)
	var line map[string]any
	require.NoError(t, json.Unmarshal(logged.Bytes(), &line), "the log is structured lines")
	require.Equal(t, Version, line["version"])
}

func TestOutsideAddress_IsNotLoopback(t *testing.T) {
	require.False(t, outsideAddress(slog.New(slog.DiscardHandler)).IsLoopback())
}
