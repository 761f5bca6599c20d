package hostagent

import (
	"os"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// testSecrets looks for a secret where it must not be: in the guest, and in what
// the agent writes down.
func testSecrets(t *testing.T, a *agentUnderTest, id string) {
	const value = "a-value-that-is-nowhere-but-in-memory"
	revision := func() string {
		got, err := a.GetSandbox(t.Context(), connect.NewRequest(&pb.GetSandboxRequest{SandboxId: id}))
		require.NoError(t, err)
		return got.Msg.Sandbox.SecretsRevision
	}
	_, err := a.UpdateNetwork(t.Context(), connect.NewRequest(&pb.UpdateNetworkRequest{
		SandboxId: id, Secrets: &pb.Secrets{Values: map[string]string{"key": value}, Revision: "first"},
		Network: &pb.NetworkPolicy{Rules: []*pb.NetworkRule{{
			Domain: "api.example", SetHeaders: map[string]string{"Authorization": "Bearer ${e2b.secrets.key}"},
		}}},
	}))
	require.NoError(t, err)
	require.Equal(t, "first", revision())
	_, err = a.SetSecrets(t.Context(), connect.NewRequest(&pb.SetSecretsRequest{
		SandboxId: id, Secrets: &pb.Secrets{Values: map[string]string{"key": value + "-2"}, Revision: "second"},
	}))
	require.NoError(t, err)
	require.Equal(t, "second", revision())
	count := func(pattern string) string {
		return a.run(t, id, "{ env; cat /proc/[0-9]*/environ /run/envd/* /etc/ssl/certs/ca-certificates.crt; } 2>/dev/null | grep -ac '"+pattern+"' || true")
	}
	require.NotEqual(t, "0", count("PATH="))
	require.Equal(t, "0", count("a-value-that-is-nowhere-[b]ut"), "a pattern that is not itself what it finds")
	record := a.file("storage", "sandboxes", id, "sandbox.json")
	requireUntold := func() {
		t.Helper()
		content, err := os.ReadFile(record)
		require.NoError(t, err)
		require.Contains(t, string(content), "${e2b.secrets.key}")
		require.NotContains(t, string(content), value)
	}
	requireUntold()
	a.pause(t, id)
	requireUntold()
	require.Empty(t, revision(), "a pause forgets")
	a.resume(t, id)
	requireUntold()
	_, err = a.SetSecrets(t.Context(), connect.NewRequest(&pb.SetSecretsRequest{SandboxId: "inobody0000000000000"}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
}
