package cpserver_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestTeam_IsDeletedWithAllThatItHasWhenItRunsNothing(t *testing.T) {
	t.Parallel()
	p := setUp(t, echoGuest)
	p.hasAdmin(t)
	p.start(t)
	first := p.key
	p.key = p.issue(t, "other", nil)
	teamOf := func(slug string) (id uuid.UUID) {
		require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams WHERE slug = $1", slug).Scan(&id))
		return id
	}
	other := teamOf("other")
	remove := func(team uuid.UUID) answer {
		return p.send(t, http.MethodDelete, "/teams/"+team.String(), "", http.Header{"X-Admin-Token": {adminToken}})
	}
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/channels", `{"kind": "email", "name": "mail", "config": {"to": ["a@example.com"]}}`))
	p.makeSecret(t, "api-key", "one")
	volume := p.volume(t, "data")
	paused := p.create(t, `{"templateID":"base","volumeMounts":[{"name":"data","path":"/data"}]}`)
	p.snapshot(t, paused.SandboxID, `{"name":"mine"}`)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+paused.SandboxID+"/pause", ""))
	running := p.create(t, `{"templateID":"base"}`)

	refused := remove(other)
	requireStatus(t, http.StatusConflict, refused)
	require.Contains(t, string(refused.body), "runs 1 sandboxes")
	require.Equal(t, "paused", p.get(t, paused.SandboxID).State, "a refusal deletes nothing")
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodDelete, "/teams/"+other.String(), ""))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/sandboxes/"+running.SandboxID, ""))

	requireStatus(t, http.StatusNoContent, remove(other))
	requireStatus(t, http.StatusNotFound, remove(other))
	requireStatus(t, http.StatusUnauthorized, p.do(t, http.MethodGet, "/sandboxes", ""))
	require.Equal(t, http.StatusNotFound, p.content(t, volume, http.MethodGet, "dir", "/", "").status)
	requireStatus(t, http.StatusBadGateway, p.send(t, http.MethodGet, "/", "", at(paused.SandboxID, 8080)))
	var left int
	require.NoError(t, p.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM sandboxes) + (SELECT count(*) FROM volumes)
		+ (SELECT count(*) FROM secrets) + (SELECT count(*) FROM templates WHERE team_id IS NOT NULL)
		+ (SELECT count(*) FROM usage_intervals) + (SELECT count(*) FROM team_use WHERE team_id = $1)`, other).Scan(&left))
	require.Zero(t, left)

	var told int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM events WHERE team_id = $1 AND type = 'channel.deleted'", other).Scan(&told))
	require.Equal(t, 1, told)

	p.key = first
	requireStatus(t, http.StatusConflict, remove(teamOf("default")))
	requireStatus(t, http.StatusOK, p.do(t, http.MethodGet, "/sandboxes", ""))
}
