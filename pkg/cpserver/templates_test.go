package cpserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

type templateSeen struct {
	TemplateID     string
	Public         bool
	Aliases, Names []string
	SpawnCount     int
	LastSpawnedAt  *string
	Builds         []struct {
		BuildID, Status, EnvdVersion   string
		CPUCount, MemoryMB, DiskSizeMB int
	}
}

func (p *controlPlane) template(t *testing.T, path string) (templateSeen, string) {
	t.Helper()
	got := p.do(t, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
	var seen templateSeen
	got.decode(t, &seen)
	return seen, got.header.Get("X-Next-Token")
}

// buildOf is the build that a sandbox of a template is made from.
func (p *controlPlane) buildOf(t *testing.T, template string) string {
	t.Helper()
	return p.agent.Creation(p.create(t, fmt.Sprintf(`{"templateID":%q}`, template)).SandboxID).BuildId
}

func TestTemplates_ShowTheBaseTemplateAndSnapshotsTruly(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	base, _ := p.template(t, "/templates/base")
	require.True(t, base.Public)
	require.Equal(t, []string{"base"}, base.Names)
	require.Equal(t, 1, base.SpawnCount)
	require.NotNil(t, base.LastSpawnedAt)
	require.Len(t, base.Builds, 1)
	require.Equal(t, hosttest.BuildID, base.Builds[0].BuildID)
	require.Positive(t, base.Builds[0].CPUCount)
	require.NotEmpty(t, base.Builds[0].EnvdVersion)

	p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
	taken := p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
	first, next := p.template(t, taken.path()+"?limit=1")
	require.False(t, first.Public)
	require.Equal(t, []string{"mine"}, first.Aliases)
	require.Equal(t, []string{"default/mine"}, first.Names)
	second, last := p.template(t, "/templates/default%2Fmine?limit=1&nextToken="+next)
	require.NotEqual(t, first.Builds, second.Builds)
	require.Empty(t, last)

	build := "/templates/mine/builds/" + first.Builds[0].BuildID
	var status struct {
		Logs, LogEntries            []any
		TemplateID, BuildID, Status string
	}
	p.do(t, http.MethodGet, build+"/status", "").decode(t, &status)
	require.Equal(t, "ready", status.Status)
	require.Equal(t, first.TemplateID, status.TemplateID)
	require.NotNil(t, status.Logs)
	require.JSONEq(t, `{"logs":[]}`, string(p.do(t, http.MethodGet, build+"/logs?direction=backward&level=info", "").body))
	for _, wrong := range []string{"/status?limit=101", "/status?logsOffset=-1", "/logs?direction=up", "/logs?source=x", "/logs?level=x", "/logs?cursor=x"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, build+wrong, ""))
	}
	for _, missing := range []string{"/templates/none", "/templates/none/tags", "/templates/aliases/none", "/templates/base/builds/" + first.Builds[0].BuildID + "/status", "/templates/base/builds/" + uuid.NewString() + "/logs"} {
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, missing, ""))
	}
}

func TestTemplates_AreCreatedFromByEveryNameAndTag(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
	old := p.buildOf(t, "mine")
	var assigned struct {
		Tags    []string
		BuildID string
	}
	got := p.do(t, http.MethodPost, "/templates/tags", `{"target":"mine","tags":["v1","stable"]}`)
	requireStatus(t, http.StatusCreated, got)
	got.decode(t, &assigned)
	require.Equal(t, old, assigned.BuildID)
	require.Equal(t, []string{"v1", "stable"}, assigned.Tags)
	taken := p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
	newest := p.buildOf(t, "mine")
	require.NotEqual(t, old, newest)
	for name, want := range map[string]string{
		"mine:v1": old, "default/mine:stable": old, old: old, "mine:" + old: old, strings.TrimSuffix(taken.SnapshotID, "default") + "v1": old,
		"default/mine": newest, "mine:default": newest, taken.SnapshotID: newest, newest: newest, hosttest.BuildID: hosttest.BuildID,
	} {
		require.Equal(t, want, p.buildOf(t, name), name)
	}
	for _, wrong := range []string{"mine:v2", "other/mine", "default/base", uuid.NewString(), "base:" + old} {
		requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/sandboxes", fmt.Sprintf(`{"templateID":%q}`, wrong)))
	}
	for _, malformed := range []string{"a/b/c", "mine:"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/sandboxes", fmt.Sprintf(`{"templateID":%q}`, malformed)))
	}
	for name, want := range map[string]int{
		"mine": http.StatusOK, "mine:v1": http.StatusOK, "default%2Fmine:stable": http.StatusOK, "mine:default": http.StatusOK, "base:default": http.StatusOK,
		"mine:v2": http.StatusNotFound, "base:v1": http.StatusNotFound, "mine:" + uuid.NewString(): http.StatusNotFound,
	} {
		require.Equal(t, want, p.do(t, http.MethodGet, "/templates/aliases/"+name, "").status, name)
	}

	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/templates/tags", `{"target":"mine:v1","tags":["default"]}`))
	require.Equal(t, old, p.buildOf(t, "mine"), "the newest build is not the best one")
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/templates/tags", `{"name":"mine","tags":["v1"]}`))
	var tags []struct{ Tag, BuildID string }
	p.do(t, http.MethodGet, "/templates/mine/tags", "").decode(t, &tags)
	require.Equal(t, []struct{ Tag, BuildID string }{{"default", old}, {"stable", old}}, tags)
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, "/templates/tags", `{"target":"mine:v1","tags":["x"]}`))
	for _, wrong := range []string{`{"target":"mine","tags":[]}`, `{"target":"","tags":["a"]}`, `{"target":"mine","tags":["a b"]}`, `{"target":"mine","tags":["` + old + `"]}`} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/templates/tags", wrong))
	}
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodDelete, "/templates/tags", `{"name":"mine","tags":["default"]}`))
}

func TestTemplates_OfOthersAreUsedWherePublicAndNeverChanged(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	taken := p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
	other := http.Header{"X-Api-Key": {p.anotherTeam(t)}}
	as := func(method, path, body string) int { return p.send(t, method, path, body, other.Clone()).status }
	body := fmt.Sprintf(`{"templateID":%q}`, "default/mine")
	changes := func(want int) {
		t.Helper()
		require.Equal(t, want, as(http.MethodPatch, "/v2/templates/default%2Fmine", `{"public":false}`))
		require.Equal(t, want, as(http.MethodDelete, taken.path(), ""))
		require.Equal(t, want, as(http.MethodPost, "/templates/tags", `{"target":"default/mine","tags":["x"]}`))
		require.Equal(t, want, as(http.MethodDelete, "/templates/tags", `{"name":"default/mine","tags":["x"]}`))
	}
	changes(http.StatusNotFound)
	for _, path := range []string{taken.path(), "/templates/aliases/mine", "/templates/default%2Fmine/tags"} {
		require.Equal(t, http.StatusNotFound, as(http.MethodGet, path, ""), path)
	}
	require.Equal(t, http.StatusNotFound, as(http.MethodPost, "/sandboxes", body))

	got := p.do(t, http.MethodPatch, "/v2/templates/mine", `{"public":true}`)
	requireStatus(t, http.StatusOK, got)
	require.JSONEq(t, `{"names":["default/mine"]}`, string(got.body))
	changes(http.StatusForbidden)
	require.Equal(t, http.StatusCreated, as(http.MethodPost, "/sandboxes", body))
	require.Equal(t, http.StatusNotFound, as(http.MethodPost, "/sandboxes", `{"templateID":"mine"}`), "a name of another team's is no name of this one's")
	require.Equal(t, http.StatusOK, as(http.MethodGet, "/templates/aliases/default%2Fmine", ""))
	require.Equal(t, http.StatusForbidden, p.do(t, http.MethodDelete, "/templates/base", "").status, "the installation's is no team's")

	requireStatus(t, http.StatusOK, p.do(t, http.MethodPatch, "/templates/mine", `{"public":false}`))
	changes(http.StatusNotFound)
	require.Equal(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/templates?teamID="+uuid.NewString(), "").status)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/templates/mine", ""))
	require.Empty(t, p.agent.Builds())
}

func TestAdmin_KillsWhatATeamRunsAndNothingElse(t *testing.T) {
	t.Parallel()
	p := extended(t)
	p.start(t)
	admin := http.Header{"X-Admin-Token": {adminToken}}
	var teamID string
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT id FROM teams WHERE slug = 'default'").Scan(&teamID))
	paused := p.create(t, `{"templateID":"base"}`).SandboxID
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+paused+"/pause", ""))
	for range 3 {
		p.create(t, `{"templateID":"base"}`)
	}
	other := p.send(t, http.MethodPost, "/sandboxes", `{"templateID":"base"}`, http.Header{"X-Api-Key": {p.anotherTeam(t)}})
	requireStatus(t, http.StatusCreated, other)
	counts := func() map[string]int {
		var seen map[string]int
		p.send(t, http.MethodGet, "/admin/sandboxes/running-counts", "", admin.Clone()).decode(t, &seen)
		return seen
	}
	require.Len(t, counts(), 2)
	require.Equal(t, 3, counts()[teamID])
	kill := p.send(t, http.MethodPost, "/admin/teams/"+teamID+"/sandboxes/kill", "", admin.Clone())
	requireStatus(t, http.StatusOK, kill)
	require.JSONEq(t, `{"killedCount":3,"failedCount":0}`, string(kill.body))
	require.NotContains(t, counts(), teamID)
	require.Len(t, counts(), 1)
	require.Equal(t, "paused", p.get(t, paused).State)
	cancel := p.send(t, http.MethodPost, "/admin/teams/"+teamID+"/builds/cancel", "", admin.Clone())
	require.JSONEq(t, `{"cancelledCount":0,"failedCount":0}`, string(cancel.body))
	for _, path := range []string{"/sandboxes/kill", "/builds/cancel"} {
		requireStatus(t, http.StatusNotFound, p.send(t, http.MethodPost, "/admin/teams/"+uuid.NewString()+path, "", admin.Clone()))
		requireStatus(t, http.StatusBadRequest, p.send(t, http.MethodPost, "/admin/teams/x"+path, "", admin.Clone()))
	}
}

func TestTemplateTags_TellTheirHistory(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base"}`)
	var builds []string
	for range 3 { // the newest tag is given to each in turn
		p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
		builds = append(builds, p.buildOf(t, "mine"))
		requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/templates/tags", `{"target":"mine","tags":["live"]}`))
	}
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/templates/tags", `{"target":"mine","tags":["v2","V1"]}`))

	require.JSONEq(t, `{"total":4}`, string(p.do(t, http.MethodGet, "/templates/mine/tags/count", "").body), "with default")
	require.JSONEq(t, `{"exists":true,"normalizedTag":"live"}`, string(p.do(t, http.MethodGet, "/templates/mine/tags/exists?tag=%20live%20", "").body))
	require.JSONEq(t, `{"exists":false,"normalizedTag":"v3"}`, string(p.do(t, http.MethodGet, "/templates/mine/tags/exists?tag=v3", "").body))

	type assignment struct {
		AssignmentID, BuildID, AssignedAt, BuildCreatedAt string
		BuildFinishedAt                                   *string
	}
	var page struct {
		Data       []assignment
		NextCursor *string
	}
	p.do(t, http.MethodGet, "/templates/mine/tags/live/assignments?limit=2", "").decode(t, &page)
	require.Len(t, page.Data, 2)
	require.Equal(t, builds[2], page.Data[0].BuildID)
	require.Equal(t, builds[1], page.Data[1].BuildID)
	require.NotNil(t, page.Data[0].BuildFinishedAt)
	require.NotNil(t, page.NextCursor)
	p.do(t, http.MethodGet, "/templates/mine/tags/live/assignments?limit=2&cursor="+*page.NextCursor, "").decode(t, &page)
	require.Len(t, page.Data, 1)
	require.Equal(t, builds[0], page.Data[0].BuildID)
	require.Nil(t, page.NextCursor)
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, "/templates/mine/tags/v3/assignments", ""))

	groups := func(query string) (names []string, next string, hasMore bool) {
		var answer struct {
			Tags []struct {
				Tag         string
				Assignments []assignment
				HasMore     bool
			}
			NextCursor *string
		}
		got := p.do(t, http.MethodGet, "/templates/mine/tags/groups?"+query, "")
		require.Equal(t, http.StatusOK, got.status, "body: %s", got.body)
		got.decode(t, &answer)
		for _, group := range answer.Tags {
			require.NotEmpty(t, group.Assignments)
			names, hasMore = append(names, group.Tag), hasMore || group.HasMore
		}
		if answer.NextCursor != nil {
			next = *answer.NextCursor
		}
		return names, next, hasMore
	}
	for _, sort := range []string{"name_asc", "name_desc", "latest_asc", "latest_desc"} {
		all, next, more := groups("sort=" + sort)
		require.Len(t, all, 4)
		require.Empty(t, next)
		require.False(t, more)
		first, next, _ := groups("tagsLimit=3&sort=" + sort)
		second, last, _ := groups("tagsLimit=3&sort=" + sort + "&tagsCursor=" + next)
		require.Equal(t, all, append(first, second...), sort)
		require.Empty(t, last)
	}
	named, _, more := groups("search=V&assignmentLimit=1&sort=name_asc")
	require.Equal(t, []string{"V1", "live", "v2"}, named)
	require.True(t, more, "live was given three times")
	for _, wrong := range []string{"sort=up", "tagsLimit=0", "assignmentLimit=101", "tagsCursor=x"} {
		requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodGet, "/templates/mine/tags/groups?"+wrong, ""))
	}
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, "/templates/tags", `{"name":"mine","tags":["live"]}`))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, "/templates/mine/tags/live/assignments", ""))
}

func TestDefaultTemplates_AreTheInstallationsOwn(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base","mcp":{"duckduckgo":{}}}`)
	p.snapshot(t, s.SandboxID, `{"name":"mine"}`)
	var defaults []templateSeen
	p.do(t, http.MethodGet, "/default-templates", "").decode(t, &defaults)
	require.Len(t, defaults, 1)
	require.Equal(t, []string{"base"}, defaults[0].Names)
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base","mcp":"all"}`))
}
