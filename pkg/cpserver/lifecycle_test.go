package cpserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
)

const (
	running = pb.SandboxState_SANDBOX_STATE_RUNNING
	paused  = pb.SandboxState_SANDBOX_STATE_PAUSED
	gone    = pb.SandboxState_SANDBOX_STATE_GONE
	failed  = pb.SandboxState_SANDBOX_STATE_FAILED
)

func TestSandbox_LivesFromCreateToKill(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base","timeout":60,"metadata":{"user":"ann"},"envVars":{"A":"b"}}`)
	require.Equal(t, "base", s.Alias)
	require.Equal(t, hosttest.EnvdVersion, s.EnvdVersion)
	require.Len(t, s.EnvdAccessToken, 64)
	require.Nil(t, s.TrafficAccessToken)
	require.Equal(t, "localhost:3000", s.Domain)
	creation := p.agent.Creation(s.SandboxID)
	require.NotContains(t, creation.String(), s.EnvdAccessToken, "the host need not know it")
	require.Equal(t, map[string]string{
		"A": "b", "E2B_SANDBOX": "true", "E2B_SANDBOX_ID": s.SandboxID, "E2B_TEMPLATE_ID": s.TemplateID,
	}, creation.Identity.EnvVars)

	detail := p.get(t, s.SandboxID)
	require.Equal(t, "running", detail.State)
	require.Equal(t, map[string]string{"user": "ann"}, detail.Metadata)
	require.WithinDuration(t, time.Now().Add(time.Minute), detail.EndAt, 5*time.Second)

	path := "/sandboxes/" + s.SandboxID
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPost, path+"/resume", `{"timeout":60}`))
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path+"/pause", `{}`))
	require.Equal(t, "paused", p.get(t, s.SandboxID).State)
	require.Equal(t, paused, p.agent.States()[s.SandboxID])
	requireStatus(t, http.StatusConflict, p.do(t, http.MethodPost, path+"/pause", ``))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodPost, path+"/timeout", `{"timeout":60}`))
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, path+"/resume", `{"timeout":120}`))
	require.Equal(t, running, p.agent.States()[s.SandboxID])
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, path, ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodDelete, path, ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, path, ""))
	require.Empty(t, p.agent.States())
}

func TestConnect_ExtendsARunningSandboxAndResumesAPausedOne(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base","timeout":600}`)
	for _, prefix := range []string{"/sandboxes/", "/v2/sandboxes/"} {
		path := prefix + s.SandboxID + "/connect"
		before := p.get(t, s.SandboxID).EndAt
		requireStatus(t, http.StatusOK, p.do(t, http.MethodPost, path, `{"timeout":1}`))
		require.Equal(t, before, p.get(t, s.SandboxID).EndAt, "connect never shortens")
		requireStatus(t, http.StatusOK, p.do(t, http.MethodPost, path, `{"timeout":1200}`))
		require.Greater(t, p.get(t, s.SandboxID).EndAt, before)
		requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", ""))
		requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, path, `{"timeout":600}`))
		require.Equal(t, "running", p.get(t, s.SandboxID).State)
	}
	requireStatus(t, http.StatusOK, p.do(t, http.MethodPost, "/v2/sandboxes/"+s.SandboxID+"/connect", ""))
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/connect", ""))
}

func TestTimeout_EndsASandboxAndAutoPauseKeepsIt(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	killed := p.create(t, `{"templateID":"base","timeout":600}`)
	kept := p.create(t, `{"templateID":"base","timeout":1,"autoPause":true}`)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+killed.SandboxID+"/timeout", `{"timeout":0}`))
	eventually(t, "one sandbox is killed and the other paused", func() bool {
		states := p.agent.States()
		return len(states) == 1 && states[kept.SandboxID] == paused
	})
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, "/sandboxes/"+killed.SandboxID, ""))
	eventually(t, "the pause is recorded", func() bool { return p.get(t, kept.SandboxID).State == "paused" })
}

func TestRefresh_OnlyExtends(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.create(t, `{"templateID":"base","timeout":600}`)
	before := p.get(t, s.SandboxID).EndAt
	path := "/sandboxes/" + s.SandboxID + "/refreshes"
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path, ``))
	require.Equal(t, before, p.get(t, s.SandboxID).EndAt)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path, `{"duration":3600}`))
	require.Greater(t, p.get(t, s.SandboxID).EndAt, before)
	requireStatus(t, http.StatusBadRequest, p.do(t, http.MethodPost, path, `{"duration":3601}`))
}

func TestHost_IsBelievedAboutItsSandboxes(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	slept := p.create(t, `{"templateID":"base"}`)
	died := p.create(t, `{"templateID":"base"}`)
	p.agent.Put(slept.SandboxID, paused)
	p.agent.Put(died.SandboxID, gone)
	eventually(t, "the pause is noticed", func() bool { return p.get(t, slept.SandboxID).State == "paused" })
	eventually(t, "the end is noticed", func() bool {
		return p.do(t, http.MethodGet, "/sandboxes/"+died.SandboxID, "").status == http.StatusNotFound
	})
}

func TestHost_SaysWhyASandboxHasFailed(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.hasAdmin(t)
	p.start(t)
	s := p.create(t, `{"templateID":"base"}`)
	path := "/sandboxes/" + s.SandboxID
	p.agent.Put(s.SandboxID, failed)
	eventually(t, "the failure is shown", func() bool { return p.get(t, s.SandboxID).Failure == hosttest.FailureReason })
	require.Equal(t, "paused", p.get(t, s.SandboxID).State, "clients know of no other state")
	listed, _ := p.list(t, url.Values{"state": {"paused"}})
	require.Equal(t, []string{s.SandboxID}, listed)

	refused := p.do(t, http.MethodPost, "/v2"+path+"/connect", "")
	requireStatus(t, http.StatusConflict, refused)
	require.Contains(t, string(refused.body), hosttest.FailureReason)
	worst := p.logs(t, s.SandboxID, "level=error")
	require.Equal(t, []string{"Sandbox failed: it cannot be used"}, messages(worst))
	require.Equal(t, hosttest.FailureReason, worst[0].Fields["reason"])
	var hosts []struct{ FailedCount int }
	p.send(t, http.MethodGet, "/hosts", "", http.Header{"X-Admin-Token": {adminToken}}).decode(t, &hosts)
	require.Equal(t, 1, hosts[0].FailedCount)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodDelete, path, ""))
	requireStatus(t, http.StatusNotFound, p.do(t, http.MethodGet, path, ""))
}

func TestShutdown_PausesWhatRunsAndTheNextStartFindsIt(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.config.PauseOnShutdown = true
	p.start(t)
	var ids []string
	for range 3 {
		ids = append(ids, p.create(t, `{"templateID":"base"}`).SandboxID)
	}
	require.NoError(t, p.stop())
	for _, id := range ids {
		require.Equal(t, paused, p.agent.States()[id])
	}
	p.start(t)
	for _, id := range ids {
		require.Equal(t, "paused", p.get(t, id).State)
		requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/v2/sandboxes/"+id+"/connect", ""))
	}
}

func TestStart_GoesOnWithoutAHostAgent(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.config.HostAgentSocket += ".nobody"
	p.start(t)
	got := p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base"}`)
	requireStatus(t, http.StatusServiceUnavailable, got)
	require.NotEmpty(t, got.header.Get("Retry-After"))
}

func TestTemplates_ListsTheBaseTemplate(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	for _, path := range []string{"/templates", "/v2/templates?limit=1"} {
		got := p.do(t, http.MethodGet, path, "")
		requireStatus(t, http.StatusOK, got)
		var templates []struct {
			TemplateID, BuildID, BuildStatus string
			Aliases                          []string
		}
		got.decode(t, &templates)
		require.Len(t, templates, 1)
		require.Equal(t, []string{"base"}, templates[0].Aliases)
		require.Equal(t, hosttest.BuildID, templates[0].BuildID)
		require.Equal(t, "ready", templates[0].BuildStatus)
		s := p.create(t, `{"templateID":"`+templates[0].TemplateID+`"}`)
		require.True(t, strings.HasPrefix(s.SandboxID, "i"))
	}
}
