package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/test/e2e/guest"
)

// sandbox is what the API answers to a create, and how to reach it.
type sandbox struct {
	ID              string `json:"sandboxID"`
	EnvdAccessToken string `json:"envdAccessToken"`
	Domain          string `json:"domain"`
	created         []byte // the whole answer
}

// createSandbox makes one from the base template, with more fields of the request
// if there are any, and kills it after the test.
func createSandbox(t *testing.T, fields ...string) *sandbox {
	t.Helper()
	return createSandboxFrom(t, "base", fields...)
}

func createSandboxFrom(t *testing.T, template string, fields ...string) *sandbox {
	t.Helper()
	fields = append([]string{`"templateID":"` + template + `"`, `"timeout":300`, `"secure":true`}, fields...)
	created := send(t, request{
		method: http.MethodPost, path: "/sandboxes", key: validKey, body: "{" + strings.Join(fields, ",") + "}",
	})
	require.Equal(t, http.StatusCreated, created.status, "body: %s", created.body)
	made := &sandbox{created: created.body}
	require.NoError(t, json.Unmarshal(created.body, made))
	require.Regexp(t, `^i[a-z0-9]{19}$`, made.ID)
	require.NotEmpty(t, made.EnvdAccessToken)
	t.Cleanup(func() {
		wrenn := running(t)
		outgoing, err := http.NewRequest(http.MethodDelete, wrenn.URL()+"/sandboxes/"+made.ID, nil)
		require.NoError(t, err)
		outgoing.Header.Set("X-API-Key", wrenn.APIKey)
		response, err := httpClient(t).Do(outgoing)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
	})
	return made
}

// atAgent names the sandbox's guest agent in headers, as the SDKs do.
func (s *sandbox) atAgent() http.Header {
	return http.Header{
		"E2b-Sandbox-Id":   {s.ID},
		"E2b-Sandbox-Port": {strconv.Itoa(guest.AgentPort)},
	}
}

// agent is the sandbox's guest agent, through Wrenn.
func (s *sandbox) agent(t *testing.T) *guest.Agent {
	t.Helper()
	header := s.atAgent()
	header.Set("X-Access-Token", s.EnvdAccessToken)
	return &guest.Agent{Client: httpClient(t), BaseURL: running(t).URL(), Header: header}
}

func (s *sandbox) run(t *testing.T, command string) string {
	t.Helper()
	result, err := s.agent(t).Run(t.Context(), command)
	require.NoError(t, err)
	require.Zero(t, result.ExitCode, "%s: %s", command, result.Stderr)
	return strings.TrimSpace(string(result.Stdout))
}

func (s *sandbox) call(t *testing.T, action, body string) answer {
	t.Helper()
	return send(t, request{method: http.MethodPost, path: "/sandboxes/" + s.ID + "/" + action, key: validKey, body: body})
}

func TestSandbox_RefusesWhatItsStateDoesNotAllow(t *testing.T) {
	s := createSandbox(t)
	requireError(t, s.call(t, "resume", `{"timeout":60}`), http.StatusConflict)
	for _, action := range []string{"timeout", "connect", "resume"} {
		requireError(t, s.call(t, action, `{"timeout":-1}`), http.StatusBadRequest)
		requireError(t, s.call(t, action, `{"timeout":"long"}`), http.StatusBadRequest)
	}
	requireError(t, s.call(t, "refreshes", `{"duration":-1}`), http.StatusBadRequest)
	requireError(t, s.call(t, "refreshes", `{"duration":3601}`), http.StatusBadRequest)

	require.Equal(t, http.StatusNoContent, s.call(t, "pause", `{}`).status)
	requireError(t, s.call(t, "pause", `{}`), http.StatusConflict)
	resumed := s.call(t, "resume", `{"timeout":60}`)
	require.Equal(t, http.StatusCreated, resumed.status, "body: %s", resumed.body)
	require.Equal(t, "alive", s.run(t, "echo alive"))
}

func TestGuestAgent_NeedsItsToken(t *testing.T) {
	s := createSandbox(t)
	other := strings.Repeat("0", len(s.EnvdAccessToken))
	for name, token := range map[string]string{"none": "", "wrong": other, "API key": running(t).APIKey} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []request{
				{method: http.MethodGet, path: "/files?path=/etc/passwd"},
				{method: http.MethodPost, path: "/files?path=/tmp/x"},
				{method: http.MethodGet, path: "/envs"},
				{method: http.MethodGet, path: "/metrics"},
				{method: http.MethodPost, path: "/process.Process/List", body: `{}`},
				{method: http.MethodPost, path: "/filesystem.Filesystem/Stat", body: `{"path":"/"}`},
			} {
				r.header = s.atAgent()
				if token != "" {
					r.header.Set("X-Access-Token", token)
				}
				got := send(t, r)
				require.Equal(t, http.StatusUnauthorized, got.status, "%s %s: %s", r.method, r.path, got.body)
			}
		})
	}
	health := send(t, request{method: http.MethodGet, path: "/health", header: s.atAgent()})
	require.Equal(t, http.StatusNoContent, health.status)
}

func TestGuestAgent_HostRoutesAreClosedToEverybody(t *testing.T) {
	s := createSandbox(t)
	header := s.atAgent()
	header.Set("X-Access-Token", s.EnvdAccessToken)
	paths := []string{"/init", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/snapshot/prepare"}
	disguised := []string{"//init", "/./init", "/x/../init", "/init/", "/%69nit", "/snapshot//prepare", "/snapshot%2Fprepare"}
	for _, path := range append(paths, disguised...) {
		t.Run(path, func(t *testing.T) {
			for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut} {
				got := send(t, request{method: method, path: path, header: header, body: `{"accessToken":"mine"}`})
				require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, got.status, "%s: %s", method, got.body)
			}
		})
	}
	require.Equal(t, "alive", s.run(t, "echo alive"), "the token still holds")
}

func TestTraffic_GoesOnlyWhereItIsNamed(t *testing.T) {
	t.Run("an unknown sandbox is a bad gateway", func(t *testing.T) {
		unknown := &sandbox{ID: "i0123456789abcdefghi"}
		got := send(t, request{method: http.MethodGet, path: "/health", header: unknown.atAgent()})
		requireError(t, got, http.StatusBadGateway)
	})
	s := createSandbox(t)
	for name, port := range map[string]string{"zero": "0", "too high": "65536", "negative": "-1", "a word": "http"} {
		t.Run("a port that is "+name+" is refused", func(t *testing.T) {
			header := http.Header{"E2b-Sandbox-Id": {s.ID}, "E2b-Sandbox-Port": {port}}
			requireError(t, send(t, request{method: http.MethodGet, path: "/health", header: header}), http.StatusBadRequest)
		})
	}
	t.Run("headers between the parts of Wrenn are nobody else's to send", func(t *testing.T) {
		header := http.Header{"Wrenn-Sandbox-Id": {s.ID}, "Wrenn-Sandbox-Port": {strconv.Itoa(guest.AgentPort)}}
		requireError(t, send(t, request{method: http.MethodGet, path: "/envs", key: validKey, header: header}), http.StatusNotFound)
	})
}
