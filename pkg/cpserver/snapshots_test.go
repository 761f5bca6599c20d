package cpserver_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

type snapshot struct {
	SnapshotID string
	Names      []string
}

// path names the snapshot in a request's path.
func (s snapshot) path() string { return "/templates/" + url.PathEscape(s.SnapshotID) }

func (p *controlPlane) snapshot(t *testing.T, sandboxID, body string) snapshot {
	t.Helper()
	got := p.do(t, http.MethodPost, "/sandboxes/"+sandboxID+"/snapshots", body)
	require.Equal(t, http.StatusCreated, got.status, "body: %s", got.body)
	var s snapshot
	got.decode(t, &s)
	return s
}

func (p *controlPlane) snapshots(t *testing.T, query string) ([]snapshot, string) {
	t.Helper()
	got := p.do(t, http.MethodGet, "/snapshots?"+query, "")
	require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
	var all []snapshot
	got.decode(t, &all)
	return all, got.header.Get("X-Next-Token")
}

func TestSnapshot_IsCreatedFromListedAndDeleted(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	plain := p.snapshot(t, s.SandboxID, `{}`)
	require.Empty(t, plain.Names)
	require.Regexp(t, "^t[a-z0-9]{19}:default$", plain.SnapshotID)
	named := p.snapshot(t, s.SandboxID, `{"name":"before-lunch"}`)
	require.Equal(t, snapshot{"default/before-lunch:default", []string{"default/before-lunch:default"}}, named)
	require.Len(t, p.agent.Builds(), 2)
	require.Equal(t, "running", p.get(t, s.SandboxID).State)

	for _, name := range []string{plain.SnapshotID, named.SnapshotID, "before-lunch", "default/before-lunch"} {
		created := p.create(t, fmt.Sprintf(`{"templateID":%q}`, name))
		build := p.agent.Creation(created.SandboxID).BuildId
		require.Equal(t, s.SandboxID, p.agent.Builds()[build], name)
	}
	again := p.snapshot(t, s.SandboxID, `{"name":"before-lunch"}`)
	require.Equal(t, named, again, "the name stays with its snapshot, which has a newer build")
	require.Len(t, p.agent.Builds(), 3)

	all, _ := p.snapshots(t, "")
	require.Equal(t, []snapshot{named, plain}, all)
	first, next := p.snapshots(t, "limit=1")
	require.Equal(t, []snapshot{named}, first)
	second, last := p.snapshots(t, "limit=1&nextToken="+next)
	require.Equal(t, []snapshot{plain}, second)
	require.Empty(t, last)
	byName, _ := p.snapshots(t, "name=before-lunch&sandboxID="+s.SandboxID)
	require.Equal(t, []snapshot{named}, byName)
	none, _ := p.snapshots(t, "sandboxID=i0123456789abcdefghi")
	require.Empty(t, none)

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, named.path(), ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodDelete, named.path(), ""))
	require.Len(t, p.agent.Builds(), 1)
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"before-lunch"}`))
	require.Equal(t, "running", p.get(t, s.SandboxID).State)
	var templates []struct{ TemplateID string }
	p.do(t, http.MethodGet, "/templates", "").decode(t, &templates)
	require.Len(t, templates, 1, "a snapshot is not among the templates")
}

func TestSnapshot_HasTheTagThatItsNameAsksFor(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	first := p.snapshot(t, s.SandboxID, `{"name":"default/mine"}`)
	plain := p.buildOf(t, "mine")
	tagged := p.snapshot(t, s.SandboxID, `{"name":"mine:v2"}`)
	require.Equal(t, snapshot{"default/mine:v2", []string{"default/mine:v2"}}, tagged)
	require.Equal(t, plain, p.buildOf(t, "mine"), "a tag of its own leaves the default build as it is")
	require.Equal(t, plain, p.buildOf(t, first.SnapshotID))
	require.NotEqual(t, plain, p.buildOf(t, "mine:v2"))

	all, _ := p.snapshots(t, "")
	require.Equal(t, []snapshot{{"default/mine:default", []string{"default/mine:default", "default/mine:v2"}}}, all)
	for query, want := range map[string]int{
		"name=mine": 1, "name=default/mine": 1, "name=mine:v2": 1, "name=default/mine:v2": 1,
		"name=mine:v3": 0, "name=other/mine": 0, "name=other": 0,
	} {
		found, _ := p.snapshots(t, query)
		require.Len(t, found, want, query)
	}

	only := p.snapshot(t, s.SandboxID, `{"name":"experiment:first"}`)
	require.Equal(t, p.buildOf(t, only.SnapshotID), p.buildOf(t, "experiment"), "the only build is found without its tag")

	snapshots := "/sandboxes/" + s.SandboxID + "/snapshots"
	requireStatus(t, http.StatusForbidden, p.do(t, http.MethodPost, snapshots, `{"name":"other/mine"}`))
	for _, malformed := range []string{"a/b/c", "mine:", "mine:v 1", "/mine", "mine:00000000-0000-0000-0000-000000000000"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, snapshots, fmt.Sprintf(`{"name":%q}`, malformed)))
	}
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, tagged.path(), ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"mine"}`))
}

func TestSnapshot_WithoutMemoryIsAskedOfTheHost(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	p.snapshot(t, s.SandboxID, `{}`)
	p.snapshot(t, s.SandboxID, `{"memory":true}`)
	require.Empty(t, p.agent.BuildsWithoutMemory())
	cold := p.snapshot(t, s.SandboxID, `{"memory":false}`)
	require.Equal(t, []string{p.buildOf(t, cold.SnapshotID)}, p.agent.BuildsWithoutMemory())
}

func TestSnapshot_OutlivesARestartAndThatHostsListTheirTemplatesOnly(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	taken := p.snapshot(t, s.SandboxID, `{}`)
	require.NoError(t, p.stop())
	p.start(t)
	p.create(t, fmt.Sprintf(`{"templateID":%q}`, taken.SnapshotID))
}

func TestSnapshot_RefusesMalformedRequests(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	path := "/sandboxes/" + s.SandboxID + "/snapshots"
	for _, wrong := range []string{`{"name":"a b"}`, `{"name":"../x"}`, `{"name":7}`, `[]`} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, path, wrong))
	}
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", ""))
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPost, path, `{}`))
	for _, wrong := range []string{"limit=0", "limit=101", "nextToken=x", "sandboxID=%00", "name=a%20b"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/snapshots?"+wrong, ""))
	}
}

func TestSnapshot_IsItsTeamsOnly(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	taken := p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
	other := http.Header{"X-Api-Key": {p.anotherTeam(t)}}
	for _, name := range []string{taken.SnapshotID, "mine"} {
		requireStatus(t, http.StatusNotFound, p.send(t, http.MethodPost, "/sandboxes", fmt.Sprintf(`{"templateID":%q}`, name), other.Clone()))
		requireStatus(t, http.StatusNotFound, p.send(t, http.MethodDelete, "/templates/"+name, "", other.Clone()))
	}
	require.JSONEq(t, "[]", string(p.send(t, http.MethodGet, "/snapshots", "", other.Clone()).body))
	require.Len(t, p.agent.Builds(), 1)
}
