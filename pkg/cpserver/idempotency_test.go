package cpserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func (p *controlPlane) createKeyed(t *testing.T, path, key, body string) answer {
	t.Helper()
	return p.send(t, http.MethodPost, path, body, http.Header{"X-Api-Key": {p.key}, "Idempotency-Key": {key}})
}

func errorCodeOf(t *testing.T, refused answer) string {
	t.Helper()
	var refusal struct {
		ErrorCode string `json:"error_code"`
	}
	refused.decode(t, &refusal)
	return refusal.ErrorCode
}

func TestIdempotencyKey_MakesOneSandboxThroughTwoControlPlanes(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	replica := &controlPlane{key: p.key, config: p.config, agent: p.agent, pool: p.pool}
	replica.start(t)
	const path, key = "/v2/sandboxes", "0b6b2d1e-first"
	const body = `{"templateID":"base","metadata":{"a":"1","b":"2"},"network":{"allowPublicTraffic":false}}`
	first := p.createKeyed(t, path, key, body)
	requireStatus(t, http.StatusCreated, first)
	for _, again := range []answer{
		replica.createKeyed(t, path, key, body), p.createKeyed(t, path, key, body),
		replica.createKeyed(t, path, key, `{"network": {"allowPublicTraffic": false}, "metadata": {"b": "2", "a": "1"}, "templateID": "base"}`),
	} {
		requireStatus(t, http.StatusCreated, again)
		require.JSONEq(t, string(first.body), string(again.body), "tokens and all")
	}
	require.Len(t, p.agent.States(), 1)

	for _, other := range []answer{
		replica.createKeyed(t, path, key, `{"templateID":"base"}`), p.createKeyed(t, "/sandboxes", key, body),
		p.createKeyed(t, path, key, `{"templateID":"none","timeout":-1}`),
	} {
		requireStatus(t, http.StatusConflict, other)
		require.Equal(t, "idempotency_request_mismatch", errorCodeOf(t, other))
		require.Equal(t, "false", other.header.Get("Should-Retry"))
	}
	theirs := p.send(t, http.MethodPost, path, body, http.Header{"X-Api-Key": {p.anotherTeam(t)}, "Idempotency-Key": {key}})
	requireStatus(t, http.StatusCreated, theirs)
	require.Len(t, p.agent.States(), 2, "keys are a team's own")
	requireStatus(t, http.StatusBadRequest, p.createKeyed(t, path, "Not_A_Key", body))
	requireStatus(t, http.StatusNotFound, p.createKeyed(t, path, "wrong", `{"templateID":"none"}`))
	requireStatus(t, http.StatusCreated, p.createKeyed(t, path, "wrong", `{"templateID":"base"}`))

	var made sandbox
	require.NoError(t, json.Unmarshal(first.body, &made))
	rows, err := p.pool.Query(t.Context(), "SELECT to_jsonb(k)::text FROM idempotency_keys k")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		require.NotContains(t, text, made.EnvdAccessToken)
		require.NotContains(t, text, *made.TrafficAccessToken)
	}
	require.NoError(t, rows.Err())
}

func TestIdempotencyKey_SaysThatTheFirstIsUnderWay(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	entered, release := make(chan struct{}), make(chan struct{})
	p.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "create" {
			close(entered)
			<-release
		}
		return nil
	})
	first := make(chan answer, 1)
	go func() { first <- p.createKeyed(t, "/sandboxes", "a", `{"templateID":"base"}`) }() //nolint:testifylint // it fails no test by itself
	<-entered
	second := p.createKeyed(t, "/sandboxes", "a", `{"templateID":"base"}`)
	requireStatus(t, http.StatusConflict, second)
	require.Equal(t, "idempotency_in_progress", errorCodeOf(t, second))
	require.Equal(t, "true", second.header.Get("Should-Retry"))
	require.NotEmpty(t, second.header.Get("Retry-After"))
	close(release)
	require.Equal(t, http.StatusCreated, (<-first).status)
}
