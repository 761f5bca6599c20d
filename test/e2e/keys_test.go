package e2e

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireRefused holds that a sandbox's token opens its guest agent no more.
func (s *sandbox) requireRefused(t *testing.T) {
	t.Helper()
	header := s.atAgent()
	header.Set("X-Access-Token", s.EnvdAccessToken)
	got := send(t, request{method: http.MethodGet, path: "/envs", header: header})
	require.Equal(t, http.StatusUnauthorized, got.status, "body: %s", got.body)
}

// reconnect asks for the sandbox's token, as the SDKs do.
func (s *sandbox) reconnect(t *testing.T, want int) {
	t.Helper()
	connected := s.call(t, "connect", `{"timeout":300}`)
	require.Equal(t, want, connected.status, "body: %s", connected.body)
	require.NoError(t, json.Unmarshal(connected.body, s))
}

func TestKeys_ARotationRevokesTokensAndLeavesSandboxesOfUse(t *testing.T) {
	wrenn := running(t)
	paused, goesOn := createSandbox(t), createSandbox(t)
	paused.run(t, "echo kept > /dev/shm/file")
	require.Equal(t, http.StatusNoContent, paused.call(t, "pause", `{}`).status)
	before := []sandbox{*paused, *goesOn}

	command := wrenn.Command(t.Context(), "keys", "rotate", "--data-dir", wrenn.DataDir)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Contains(t, string(output), "it is in use")

	paused.reconnect(t, http.StatusCreated)
	goesOn.reconnect(t, http.StatusOK)
	for _, old := range before {
		old.requireRefused(t)
	}
	require.Equal(t, "kept", paused.run(t, "cat /dev/shm/file"))
	require.Equal(t, "alive", goesOn.run(t, "echo alive"))

	rotated := goesOn.call(t, "tokens/rotate", "")
	require.Equal(t, http.StatusOK, rotated.status, "body: %s", rotated.body)
	last := *goesOn
	require.NoError(t, json.Unmarshal(rotated.body, goesOn))
	last.requireRefused(t)
	require.Equal(t, "alive", goesOn.run(t, "echo alive"))
	require.Equal(t, "kept", paused.run(t, "cat /dev/shm/file"), "others keep their tokens")
}
