package cpserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func (p *controlPlane) createIsolated(t *testing.T, body, header string) answer {
	t.Helper()
	headers := http.Header{"X-Api-Key": {p.key}}
	if header != "" {
		headers.Set("Wrenn-Isolation", header)
	}
	return p.send(t, http.MethodPost, "/v2/sandboxes", body, headers)
}

func TestIsolation_IsDemandedByFieldOrHeader(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, wanted := range []answer{
		p.createIsolated(t, `{"templateID":"base","isolation":"vm"}`, ""),
		p.createIsolated(t, `{"templateID":"base"}`, "vm"),
		p.createIsolated(t, `{"templateID":"base","isolation":"vm"}`, "vm"),
	} {
		requireStatus(t, http.StatusCreated, wanted)
		var made, detail struct{ SandboxID, Isolation string }
		wanted.decode(t, &made)
		require.Equal(t, "vm", p.agent.Creation(made.SandboxID).Isolation)
		p.do(t, http.MethodGet, "/sandboxes/"+made.SandboxID, "").decode(t, &detail)
		require.Equal(t, "vm", detail.Isolation)
	}
	for _, invalid := range []answer{
		p.createIsolated(t, `{"templateID":"base","isolation":"container"}`, ""),
		p.createIsolated(t, `{"templateID":"base"}`, "VM"),
		p.createIsolated(t, `{"templateID":"base","isolation":"vm"}`, "gvisor"),
	} {
		requireStatus(t, http.StatusBadRequest, invalid)
		require.Contains(t, string(invalid.body), "vm or gvisor")
	}
	require.Len(t, p.agent.States(), 3)
}

func TestIsolation_ThatNoHostGivesIsRefusedWithWhatThereIs(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	refused := p.createIsolated(t, `{"templateID":"base"}`, "gvisor")
	requireStatus(t, http.StatusConflict, refused)
	require.Equal(t, "sandbox_no_compatible_node", errorCodeOf(t, refused))
	require.Equal(t, "false", refused.header.Get("Should-Retry"))
	require.Contains(t, string(refused.body), "no host of this installation gives isolation gvisor; they give vm")
}

func TestIsolation_IsPartOfWhatAnIdempotencyKeyStandsFor(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	headers := http.Header{"X-Api-Key": {p.key}, "Idempotency-Key": {"k-1"}}
	requireStatus(t, http.StatusCreated, p.send(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`, headers))
	headers.Set("Wrenn-Isolation", "vm")
	other := p.send(t, http.MethodPost, "/v2/sandboxes", `{"templateID":"base"}`, headers)
	requireStatus(t, http.StatusConflict, other)
	require.Equal(t, "idempotency_request_mismatch", errorCodeOf(t, other))
}

func TestIsolation_OfAHostIsShown(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.hasAdmin(t)
	p.start(t)
	admin := http.Header{"X-Admin-Token": {adminToken}}
	var hosts, nodes []struct{ HostID, ID, Driver, Isolation string }
	p.send(t, http.MethodGet, "/hosts", "", admin).decode(t, &hosts)
	require.Equal(t, "qemu vm", hosts[0].Driver+" "+hosts[0].Isolation)
	p.send(t, http.MethodGet, "/nodes", "", admin).decode(t, &nodes)
	require.Equal(t, "vm", nodes[0].Isolation)
	var node struct{ Isolation string }
	p.send(t, http.MethodGet, "/nodes/"+nodes[0].ID, "", admin).decode(t, &node)
	require.Equal(t, "vm", node.Isolation)
}

func TestIsolation_IsDemandedByATeam(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.hasAdmin(t)
	p.start(t)
	admin := http.Header{"X-Admin-Token": {adminToken}}
	var teams []struct{ TeamID, Name, Isolation string }
	p.send(t, http.MethodGet, "/admin/teams", "", admin).decode(t, &teams)
	require.Len(t, teams, 1)
	require.Equal(t, "any", teams[0].Isolation)
	set := func(body string) answer { return p.send(t, http.MethodPatch, "/teams/"+teams[0].TeamID, body, admin) }
	for _, invalid := range []string{`{}`, `{"isolation":""}`, `{"isolation":"container"}`, `{"isolation":null}`, `{"name":""}`} {
		requireStatus(t, http.StatusBadRequest, set(invalid))
	}
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodPatch, "/teams/"+teams[0].TeamID, `{"isolation":"any"}`))

	requireStatus(t, http.StatusOK, set(`{"isolation":"vm"}`))
	made := p.createIsolated(t, `{"templateID":"base"}`, "")
	requireStatus(t, http.StatusCreated, made)
	var running struct{ SandboxID string }
	made.decode(t, &running)
	require.Equal(t, "vm", p.agent.Creation(running.SandboxID).Isolation)
	refused := p.createIsolated(t, `{"templateID":"base"}`, "gvisor")
	requireStatus(t, http.StatusForbidden, refused)
	require.Equal(t, "sandbox_isolation_denied", errorCodeOf(t, refused))
	require.Contains(t, string(refused.body), "isolation gvisor is asked for, and the team demands vm")

	// No host gives what the team demands from now on: nothing starts, not even a build.
	requireStatus(t, http.StatusOK, set(`{"isolation":"gvisor"}`))
	requireStatus(t, http.StatusConflict, p.createIsolated(t, `{"templateID":"base"}`, ""))
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPost, "/v3/templates", `{"name":"mine"}`))
	path := "/sandboxes/" + running.SandboxID
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path+"/pause", ""))
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodPost, path+"/connect", `{"timeout":60}`))
	requireStatus(t, http.StatusOK, set(`{"isolation":"any"}`))
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, path+"/connect", `{"timeout":60}`))

	entries := p.audit(t, "?action=team.update&limit=1")
	require.Len(t, entries, 1)
	require.Equal(t, teams[0].TeamID, entries[0].Resource.ID)
	require.JSONEq(t, `{"isolation":"any"}`, string(entries[0].Details))
}
