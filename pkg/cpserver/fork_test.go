package cpserver_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type fork struct {
	Sandbox *sandbox
	Error   *struct {
		Code    int
		Message string
	}
}

func (p *controlPlane) fork(t *testing.T, sandboxID, body string) []fork {
	t.Helper()
	got := p.do(t, http.MethodPost, "/sandboxes/"+sandboxID+"/fork", body)
	require.Equal(t, http.StatusCreated, got.status, "body: %s", got.body)
	var forks []fork
	got.decode(t, &forks)
	return forks
}

func TestFork_MakesSandboxesOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base","metadata":{"a":"b"},"network":{"allowPublicTraffic":false},"autoPause":true}`)
	forks := p.fork(t, s.SandboxID, `{"count":3,"timeout":120}`)
	require.Len(t, forks, 3)
	tokens := map[string]bool{s.EnvdAccessToken: true}
	for _, made := range forks {
		require.Nil(t, made.Error)
		tokens[made.Sandbox.EnvdAccessToken] = true
		now := p.get(t, made.Sandbox.SandboxID)
		require.Equal(t, "running", now.State)
		require.Equal(t, map[string]string{"a": "b"}, now.Metadata)
		require.WithinDuration(t, time.Now().Add(2*time.Minute), now.EndAt, time.Minute)
		require.NotNil(t, made.Sandbox.TrafficAccessToken)
		identity := p.agent.Identity(made.Sandbox.SandboxID)
		require.Equal(t, made.Sandbox.SandboxID, identity.EnvVars["E2B_SANDBOX_ID"])
	}
	require.Len(t, tokens, 4, "each has a token of its own")
	require.Equal(t, "running", p.get(t, s.SandboxID).State)
	require.Len(t, p.fork(t, s.SandboxID, ``), 1)
}

func TestFork_SaysWhichOnesCouldNotBeMade(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	var tried atomic.Int32
	p.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "become a fork" && tried.Add(1) == 2 {
			return errors.New("secret reason of the host")
		}
		return nil
	})
	forks := p.fork(t, s.SandboxID, `{"count":3}`)
	require.NotNil(t, forks[0].Sandbox)
	require.Nil(t, forks[1].Sandbox)
	require.Equal(t, http.StatusInternalServerError, forks[1].Error.Code)
	require.NotContains(t, forks[1].Error.Message, "secret")
	require.NotNil(t, forks[2].Sandbox)
	require.Len(t, p.agent.States(), 3)
	var alive int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM sandboxes WHERE state NOT IN ('killed', 'failed')").Scan(&alive))
	require.Equal(t, 3, alive)
}

func TestFork_RefusesMalformedRequests(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	path := "/sandboxes/" + s.SandboxID + "/fork"
	for _, wrong := range []string{`{"count":0}`, `{"count":101}`, `{"count":-1}`, `{"count":"many"}`, `{"timeout":-1}`, `{"timeout":86401}`} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, path, wrong))
	}
}
