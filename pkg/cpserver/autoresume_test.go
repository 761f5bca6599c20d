package cpserver_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pausedWith makes a sandbox, paused.
func (p *controlPlane) pausedWith(t *testing.T, create, pause string) sandbox {
	t.Helper()
	s := p.create(t, create)
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", pause))
	return s
}

const autoResumed = `{"templateID":"base","timeout":900,"autoPause":true,"autoResume":{"enabled":true}}`

// Two control planes over one database and one host are one.
func TestAutoResume_BringsASandboxBackOnceForManyRequests(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	replica := &controlPlane{key: p.key, config: p.config, agent: p.agent, pool: p.pool}
	replica.start(t)
	s := p.pausedWith(t, autoResumed, `{}`)
	var resumes atomic.Int32
	p.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "resume" {
			resumes.Add(1)
		}
		return nil
	})
	const clients = 16
	statuses := make([]int, clients)
	var requests sync.WaitGroup
	for i := range clients {
		through := []*controlPlane{p, replica}[i%2]
		requests.Go(func() { statuses[i] = through.send(t, http.MethodGet, "/", "", at(s.SandboxID, 8080)).status })
	}
	requests.Wait()
	for _, status := range statuses {
		require.Equal(t, http.StatusOK, status)
	}
	require.EqualValues(t, 1, resumes.Load())
	now := replica.get(t, s.SandboxID)
	require.Equal(t, "running", now.State)
	require.WithinDuration(t, time.Now().Add(15*time.Minute), now.EndAt, time.Minute, "as long as was asked for at first")
}

func TestAutoResume_NeedsTrafficThatMayPass(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	const notPublic = `{"templateID":"base","autoPause":true,"autoResume":{"enabled":true},"network":{"allowPublicTraffic":false}}`
	s := p.pausedWith(t, notPublic, `{}`)
	for name, request := range map[string]struct {
		path   string
		header http.Header
		want   int
	}{
		"no traffic token":      {"/", at(s.SandboxID, 8080), http.StatusForbidden},
		"no agent token":        {"/envs", at(s.SandboxID, agentPort), http.StatusBadGateway},
		"health check":          {"/health", with(at(s.SandboxID, agentPort), "X-Access-Token", s.EnvdAccessToken), http.StatusBadGateway},
		"anybody's signed URL":  {"/files?path=/a&signature=v1_x", at(s.SandboxID, agentPort), http.StatusBadGateway},
		"a route of the host's": {"/init", with(at(s.SandboxID, agentPort), "X-Access-Token", s.EnvdAccessToken), http.StatusForbidden},
	} {
		require.Equal(t, request.want, p.send(t, http.MethodGet, request.path, "", request.header).status, name)
		require.Equal(t, "paused", p.get(t, s.SandboxID).State, name)
	}
	signedURL := signed(s.EnvdAccessToken, "read", "1")
	require.Equal(t, http.StatusBadGateway, p.send(t, http.MethodGet, signedURL, "", at(s.SandboxID, agentPort)).status, "an expired signature")
	require.NotNil(t, s.TrafficAccessToken)
	got := p.send(t, http.MethodGet, "/", "", with(at(s.SandboxID, 8080), "E2b-Traffic-Access-Token", *s.TrafficAccessToken))
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "running", p.get(t, s.SandboxID).State)

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", ""))
	signedURL = signed(s.EnvdAccessToken, "read", "")
	require.Equal(t, http.StatusOK, p.send(t, http.MethodGet, signedURL, "", at(s.SandboxID, agentPort)).status, "a signature is a credential")

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", ""))
	got = p.send(t, http.MethodGet, "/envs", "", with(at(s.SandboxID, agentPort), "X-Access-Token", s.EnvdAccessToken))
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "running", p.get(t, s.SandboxID).State)
}

func TestAutoResume_LeavesWhatDidNotAskForItOrHasNoMemory(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	for name, s := range map[string]sandbox{
		"did not ask": p.pausedWith(t, `{"templateID":"base","autoPause":true}`, `{}`),
		"no memory":   p.pausedWith(t, autoResumed, `{"memory":false}`),
	} {
		require.Equal(t, http.StatusBadGateway, p.send(t, http.MethodGet, "/", "", at(s.SandboxID, 8080)).status, name)
		require.Equal(t, "paused", p.get(t, s.SandboxID).State, name)
	}
}

func TestAutoResume_SaysWhenTheHostCannot(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	s := p.pausedWith(t, autoResumed, `{}`)
	p.agent.Before(func(_ context.Context, operation, _ string) error {
		if operation == "resume" {
			return context.DeadlineExceeded
		}
		return nil
	})
	require.Equal(t, http.StatusServiceUnavailable, p.send(t, http.MethodGet, "/", "", at(s.SandboxID, 8080)).status)
	p.agent.Before(nil)
	require.Equal(t, http.StatusOK, p.send(t, http.MethodGet, "/", "", at(s.SandboxID, 8080)).status)
}

func TestPause_WithoutMemoryIsAskedOfTheHostAndBootsWithItsNames(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.pausedWith(t, `{"templateID":"base"}`, `{"memory":false}`)
	require.True(t, p.agent.Pause(s.SandboxID).WithoutMemory)
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/v2/sandboxes/"+s.SandboxID+"/connect", `{}`))
	require.Equal(t, s.SandboxID, p.agent.Identity(s.SandboxID).EnvVars["E2B_SANDBOX_ID"])
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+s.SandboxID+"/pause", ""))
	require.False(t, p.agent.Pause(s.SandboxID).WithoutMemory)

	expiring := p.create(t, `{"templateID":"base","timeout":1,"autoPause":true,"autoPauseMemory":false}`)
	eventually(t, "the sandbox pauses", func() bool { return p.get(t, expiring.SandboxID).State == "paused" })
	require.True(t, p.agent.Pause(expiring.SandboxID).WithoutMemory)
}

func TestResume_WithoutMemoryBootsAndSaysSoToTheHost(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	s := p.pausedWith(t, `{"templateID":"base"}`, `{}`)
	path := "/sandboxes/" + s.SandboxID
	for _, call := range []string{path + "/resume", path + "/connect", "/v2" + path + "/connect"} {
		for body, cold := range map[string]bool{`{"timeout":60,"memory":false}`: true, `{"timeout":60,"memory":true}`: false, `{"timeout":60}`: false} {
			requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, call, body))
			require.Equal(t, cold, p.agent.Resume(s.SandboxID).WithoutMemory, "%s %s", call, body)
			require.Equal(t, cold, p.agent.Identity(s.SandboxID).EnvVars["E2B_SANDBOX_ID"] == s.SandboxID, "a guest that boots remembers none")
			requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path+"/pause", ""))
		}
	}
}

func TestPause_OfASandboxWhoseAgentDoesNotAnswerIsResumedByBootingOnly(t *testing.T) {
	t.Parallel()
	p := startWithGuest(t, echoGuest)
	p.agent.Unresponsive()
	s := p.pausedWith(t, autoResumed, `{}`)
	path := "/sandboxes/" + s.SandboxID
	require.False(t, p.agent.Pause(s.SandboxID).RequireHealthyGuest)
	var shown struct {
		EnvdUnresponsiveAtPause bool
		PauseMode               string
	}
	p.do(t, http.MethodGet, path, "").decode(t, &shown)
	require.True(t, shown.EnvdUnresponsiveAtPause)
	require.Equal(t, "full", shown.PauseMode)
	for _, call := range []string{path + "/resume", path + "/connect", "/v2" + path + "/connect"} {
		refused := p.do(t, http.MethodPost, call, `{"timeout":60}`)
		requireStatus(t, http.StatusConflict, refused)
		require.Equal(t, "sandbox_snapshot_guest_agent_unresponsive", errorCodeOf(t, refused))
		require.Equal(t, "false", refused.header.Get("Should-Retry"))
	}
	require.Equal(t, http.StatusBadGateway, p.send(t, http.MethodGet, "/", "", at(s.SandboxID, 8080)).status, "traffic boots nothing")
	require.Nil(t, p.agent.Resume(s.SandboxID), "the host is not asked")
	requireStatus(t, http.StatusCreated, p.do(t, http.MethodPost, "/v2"+path+"/connect", `{"memory":false}`))
	require.NotContains(t, string(p.do(t, http.MethodGet, path, "").body), "envdUnresponsiveAtPause")
	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, path+"/pause", `{"memory":false,"requireHealthyGuest":true}`))
	require.True(t, p.agent.Pause(s.SandboxID).RequireHealthyGuest)
	p.do(t, http.MethodGet, path, "").decode(t, &shown)
	require.Equal(t, "filesystem", shown.PauseMode)
}
