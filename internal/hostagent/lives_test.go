package hostagent

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
)

// testLives checks the secret by which a guest agent recognises its host: it differs in
// each life, clients cannot send it, and other ports of the guest do not receive it.
func testLives(t *testing.T, a *agentUnderTest, id string) {
	secretOf := func(id string) string {
		t.Helper()
		content, err := os.ReadFile(a.file("storage", "sandboxes", id, "sandbox.json"))
		require.NoError(t, err)
		var record struct{ Token string }
		require.NoError(t, json.Unmarshal(content, &record))
		require.NotEmpty(t, record.Token)
		return record.Token
	}
	// The guest sends a secret, which it could have read in its memory, to its own agent.
	accepts := func(id, secret string) string {
		t.Helper()
		return a.run(t, id, fmt.Sprintf(`exec 3<> /dev/tcp/127.0.0.1/49983
			printf 'GET /envs HTTP/1.0\r\nX-Access-Token: %s\r\n\r\n' >&3; read -r -u 3 _ status _; echo $status`, secret))
	}
	first := secretOf(id)
	require.Equal(t, "200", accepts(id, first))
	require.Equal(t, "401", accepts(id, "made up"))

	a.pause(t, id)
	a.resume(t, id)
	second := secretOf(id)
	require.NotEqual(t, first, second)
	require.Equal(t, "401 200", accepts(id, first)+" "+accepts(id, second), "the secret of the life before is refused")

	const fork = "ilives00000000000001"
	a.killAfter(t, fork)
	_, err := a.ForkSandbox(t.Context(), connect.NewRequest(&pb.ForkSandboxRequest{
		SandboxId: id, Forks: []*pb.Fork{{SandboxId: fork, Identity: &pb.Identity{LifecycleId: fork}}},
	}))
	require.NoError(t, err)
	third := secretOf(fork)
	require.Equal(t, "401 200", accepts(fork, second)+" "+accepts(fork, third), "a fork has another secret")
	require.Equal(t, "401 200", accepts(id, third)+" "+accepts(id, second))
	a.kill(t, fork)

	// The host's secret replaces a client's header.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://guest/envs", nil)
	require.NoError(t, err)
	request.Header.Set(envdclient.SecretHeader, "a client's")
	response, err := (&http.Client{Transport: toGuest{id, 49983, a.traffic.Transport}}).Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}
