package cpserver_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// tokens are what opens a private sandbox and a volume of the default team.
type tokens struct {
	p       *controlPlane
	sandbox sandbox
	volume  volume
}

func (p *controlPlane) tokens(t *testing.T) tokens {
	t.Helper()
	return tokens{p, p.create(t, `{"templateID":"base","network":{"allowPublicTraffic":false}}`), p.volume(t, uuid.NewString())}
}

// requireOpen holds that the tokens open what they are for, or none of them does.
func (o tokens) requireOpen(t *testing.T, sandboxOpen, volumeOpen bool) {
	t.Helper()
	agent := with(at(o.sandbox.SandboxID, agentPort), "X-Access-Token", o.sandbox.EnvdAccessToken)
	port := with(at(o.sandbox.SandboxID, 8080), "E2b-Traffic-Access-Token", *o.sandbox.TrafficAccessToken)
	for _, test := range []struct {
		open          bool
		passes, fails int
		got           answer
	}{
		{sandboxOpen, http.StatusOK, http.StatusUnauthorized, o.p.send(t, http.MethodGet, "/envs", "", agent)},
		{sandboxOpen, http.StatusOK, http.StatusForbidden, o.p.send(t, http.MethodGet, "/", "", port)},
		{volumeOpen, http.StatusOK, http.StatusUnauthorized, o.p.content(t, o.volume, http.MethodGet, "dir", "/", "")},
	} {
		want := test.fails
		if test.open {
			want = test.passes
		}
		require.Equal(t, want, test.got.status, "%s", test.got.body)
	}
}

// again asks for the same tokens as they are now.
func (o tokens) again(t *testing.T) tokens {
	t.Helper()
	got := o.p.do(t, http.MethodPost, "/v2/sandboxes/"+o.sandbox.SandboxID+"/connect", "{}")
	requireStatus(t, http.StatusOK, got)
	got.decode(t, &o.sandbox)
	require.Equal(t, o.sandbox.EnvdAccessToken, o.p.get(t, o.sandbox.SandboxID).EnvdAccessToken)
	o.p.do(t, http.MethodGet, "/volumes/"+o.volume.VolumeID, "").decode(t, &o.volume)
	return o
}

func TestTokens_AreRevokedForOneSandbox(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	old, other := p.tokens(t), p.tokens(t)
	got := p.do(t, http.MethodPost, "/sandboxes/"+old.sandbox.SandboxID+"/tokens/rotate", "")
	requireStatus(t, http.StatusOK, got)
	old.requireOpen(t, false, true)
	other.requireOpen(t, true, true)
	renewed := old
	got.decode(t, &renewed.sandbox)
	renewed.requireOpen(t, true, true)
	require.Equal(t, renewed.sandbox, old.again(t).sandbox)
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes/i0123456789abcdefghi/tokens/rotate", ""))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/sandboxes/"+old.sandbox.SandboxID, ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes/"+old.sandbox.SandboxID+"/tokens/rotate", ""))
}

func TestTokens_OfATeamAreRevokedWithAKeyThatCouldReadThem(t *testing.T) {
	t.Parallel()
	p := setUp(t, echoGuest)
	p.hasAdmin(t)
	p.start(t)
	old := p.tokens(t)
	old.requireOpen(t, true, true)
	var key, team string
	require.NoError(t, p.pool.QueryRow(t.Context(), `INSERT INTO api_keys
		(id, team_id, name, key_hash, key_prefix, value_length, masked_prefix, masked_suffix)
		SELECT gen_random_uuid(), team_id, 'another', sha256('x'), '', 0, '', '' FROM api_keys RETURNING id, team_id`).Scan(&key, &team))
	admin := http.Header{"X-Admin-Token": {adminToken}, "X-Team-Id": {team}}
	requireStatus(t, http.StatusNoContent, p.send(t, http.MethodDelete, "/api-keys/"+key, "", admin.Clone()))
	old.requireOpen(t, false, false)
	renewed := old.again(t)
	renewed.requireOpen(t, true, true)

	requireStatus(t, http.StatusNoContent, p.send(t, http.MethodPost, "/teams/"+team+"/tokens/rotate", "", admin.Clone()))
	renewed.requireOpen(t, false, false)
	renewed.again(t).requireOpen(t, true, true)
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodPost, "/teams/"+team+"/tokens/rotate", ""))
	requireStatus(t, http.StatusNotFound, p.send(t, http.MethodPost, "/teams/"+uuid.NewString()+"/tokens/rotate", "", http.Header{"X-Admin-Token": admin["X-Admin-Token"]}))
}
