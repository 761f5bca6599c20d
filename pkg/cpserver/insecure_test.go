package cpserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInsecure_IsRefusedUnlessTheOperatorAllowsIt(t *testing.T) {
	t.Parallel()
	p := startControlPlane(t)
	got := p.do(t, http.MethodPost, "/sandboxes", `{"templateID":"base","secure":false}`)
	requireStatus(t, http.StatusBadRequest, got)
	require.Contains(t, string(got.body), "WRENN_ALLOW_INSECURE_SANDBOXES")
	requireNoRows(t, p)
}

func TestInsecure_OpensTheGuestAgentAndNothingElse(t *testing.T) {
	t.Parallel()
	p := setUp(t, echoGuest)
	p.config.AllowInsecureSandboxes = true
	p.start(t)
	open := p.create(t, `{"templateID":"base","secure":false,"network":{"allowPublicTraffic":false},"autoPause":true,"autoResume":{"enabled":true}}`)
	require.Empty(t, open.EnvdAccessToken)
	require.Empty(t, p.get(t, open.SandboxID).EnvdAccessToken)
	forks := p.do(t, http.MethodPost, "/sandboxes/"+open.SandboxID+"/fork", "{}")
	requireStatus(t, http.StatusCreated, forks)
	require.NotContains(t, string(forks.body), "envdAccessToken", "a fork is as secure as its source")

	agent := at(open.SandboxID, agentPort)
	requireStatus(t, http.StatusOK, p.send(t, http.MethodGet, "/envs", "", agent.Clone()))
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodPost, "/init", "", agent.Clone()))
	requireStatus(t, http.StatusForbidden, p.send(t, http.MethodGet, "/", "", at(open.SandboxID, 8080)))

	requireStatus(t, http.StatusNoContent, p.do(t, http.MethodPost, "/sandboxes/"+open.SandboxID+"/pause", ""))
	requireStatus(t, http.StatusBadGateway, p.send(t, http.MethodGet, "/health", "", agent.Clone()))
	requireStatus(t, http.StatusOK, p.send(t, http.MethodGet, "/envs", "", agent.Clone()))

	secured := p.create(t, `{"templateID":"base"}`)
	require.NotEmpty(t, secured.EnvdAccessToken)
	requireStatus(t, http.StatusUnauthorized, p.send(t, http.MethodGet, "/envs", "", at(secured.SandboxID, agentPort)))
}
