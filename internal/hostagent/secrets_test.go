package hostagent

import (
	"os"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
)

// testSecrets searches for a secret in the guest and in the agent's files.
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
	require.Equal(t, "0", count("a-value-that-is-nowhere-[b]ut"), "the pattern does not match itself")
	record := a.file("storage", "sandboxes", id, "sandbox.json")
	requireNotWritten := func() {
		t.Helper()
		content, err := os.ReadFile(record)
		require.NoError(t, err)
		require.Contains(t, string(content), "${e2b.secrets.key}")
		require.NotContains(t, string(content), value)
	}
	requireNotWritten()
	a.pause(t, id)
	requireNotWritten()
	require.Empty(t, revision(), "a pause discards the secrets")
	a.resume(t, id)
	requireNotWritten()
	_, err = a.SetSecrets(t.Context(), connect.NewRequest(&pb.SetSecretsRequest{SandboxId: "inobody0000000000000"}))
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))
}
