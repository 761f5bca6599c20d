package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/sandboxes"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// everybody lets all requests in.
type everybody struct{}

func (everybody) Authorize(context.Context, auth.Rule, auth.Credentials) (auth.Principal, error) {
	return auth.Principal{}, nil
}

// killer is a service whose Kill does as a test says. Nothing else is called.
type killer struct {
	sandboxes.Service
	kill func(ctx context.Context) error
}

func (k killer) Kill(ctx context.Context, _ uuid.UUID, _ string) error { return k.kill(ctx) }

func newServer(kill func(context.Context) error, log *strings.Builder) *api.Server {
	logger := slog.New(slog.NewTextHandler(log, nil))
	return &api.Server{
		Access: access.Control{Authenticator: everybody{}, Log: logger}, Sandboxes: killer{kill: kill},
		Healthy: func(context.Context) error { return errors.New("connection refused") },
		Log:     logger,
	}
}

func send(handler http.Handler, method, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(method, path, nil)
	request.Header.Set("X-Request-Id", "a-test-request")
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestFail_GivesEachErrorItsStatusAndHidesWhatIsInternal(t *testing.T) {
	t.Parallel()
	secret := errors.New("password of the database")
	for name, test := range map[string]struct {
		err     error
		status  int
		message string
	}{
		"invalid":       {fault.New(fault.Invalid, "no"), http.StatusBadRequest, "no"},
		"forbidden":     {fault.New(fault.Forbidden, "no"), http.StatusForbidden, "no"},
		"missing":       {fault.New(fault.NotFound, "no"), http.StatusNotFound, "no"},
		"conflict":      {fault.New(fault.Conflict, "no"), http.StatusConflict, "no"},
		"full":          {fault.Wrap(fault.Exhausted, secret, "no"), http.StatusServiceUnavailable, "no"},
		"timeout":       {fault.Wrap(fault.Timeout, secret, "no"), http.StatusGatewayTimeout, "no"},
		"database away": {&net.OpError{Op: "dial", Err: secret}, http.StatusServiceUnavailable, "the database cannot be reached at the moment"},
		"ours":          {secret, http.StatusInternalServerError, "internal error (request a-test-request)"},
	} {
		var log strings.Builder
		got := send(newServer(func(context.Context) error { return test.err }, &log).Handler(), http.MethodDelete, "/sandboxes/x")
		require.Equal(t, test.status, got.Code, name)
		var refusal struct {
			Code    int
			Message string
		}
		require.NoError(t, json.Unmarshal(got.Body.Bytes(), &refusal))
		require.Equal(t, test.status, refusal.Code, name)
		require.Equal(t, test.message, refusal.Message, name)
		mayRetry := test.status == http.StatusServiceUnavailable || test.status == http.StatusGatewayTimeout
		require.Equal(t, mayRetry, got.Header().Get("Retry-After") != "", name)
		require.Equal(t, test.status >= 500, strings.Contains(log.String(), "request failed"), name)
	}
}

func TestHandler_SurvivesAPanicOfOurs(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	got := send(newServer(func(context.Context) error { panic("index out of range") }, &log).Handler(), http.MethodDelete, "/sandboxes/x")
	require.Equal(t, http.StatusInternalServerError, got.Code)
	require.NotContains(t, got.Body.String(), "index")
	require.Contains(t, log.String(), "index out of range")
}

func TestHealth_SaysThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	got := send(newServer(nil, &log).Handler(), http.MethodGet, "/health")
	require.Equal(t, http.StatusServiceUnavailable, got.Code)
	require.NotEmpty(t, got.Header().Get("Retry-After"))
}

func TestDrain_WaitsForRequestsUnderWayAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	started, finish := make(chan struct{}), make(chan struct{})
	server := newServer(func(context.Context) error {
		close(started)
		<-finish
		return nil
	}, &log)
	handler := server.Handler()
	answered := make(chan int, 1)
	go func() { answered <- send(handler, http.MethodDelete, "/sandboxes/x").Code }()
	<-started

	expired, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, server.Drain(expired), context.DeadlineExceeded)
	require.Equal(t, http.StatusServiceUnavailable, send(handler, http.MethodDelete, "/sandboxes/x").Code)
	close(finish)
	require.Equal(t, http.StatusNoContent, <-answered)
	require.NoError(t, server.Drain(t.Context()))
}
