package hostagent

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/envdclient"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

func TestRemote_DrivesARealSandboxFromAControlPlaneElsewhere(t *testing.T) {
	dir := dataDir(t)
	o := newOffice(t)
	_, err := Join(t.Context(), JoinOptions{DataDir: dir, Server: o.url, Token: o.token(), Name: "one", Address: "127.0.0.1:7070", Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(membershipPath(dir))) })
	// A port that is free now: the agent does not report which port it got.
	member, err := readMembership(dir)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", member.Listen)
	require.NoError(t, err)
	member.Listen = listener.Addr().String()
	require.NoError(t, listener.Close())
	require.NoError(t, member.write(dir))

	a := startAgent(t, dir)
	defer a.abort(t)
	link := host.NewRemoteLink(o.hostID, member.Listen, o.Client(func(context.Context, []byte) error { return nil }))
	defer link.Close()
	info, err := link.Info(t.Context())
	require.NoError(t, err)
	require.Positive(t, info.MemoryTotalBytes)
	const id = "iremoteremoteremote1"
	created, err := link.CreateSandbox(t.Context(), host.Creation{
		Sandbox: sandbox.Sandbox{ID: id, BuildID: uuid.MustParse(a.build)},
	})
	require.NoError(t, err)
	require.Equal(t, sandbox.Running, created.State)
	require.Equal(t, http.StatusNoContent, healthOver(t, link, id))
	_, err = link.PauseSandbox(t.Context(), id, sandbox.Pause{})
	require.NoError(t, err)
	_, err = link.ResumeSandbox(t.Context(), id, host.Resumption{})
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, healthOver(t, link, id))
	require.NoError(t, link.KillSandbox(t.Context(), id))
	a.shutDown(t)
}

// healthOver requests the health of a sandbox's guest agent through its host.
func healthOver(t *testing.T, link *host.Link, id string) int {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return link.DialTraffic(ctx, false)
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://guest.invalid/health", nil)
	require.NoError(t, err)
	request.Header.Set(forward.SandboxHeader, id)
	request.Header.Set(forward.PortHeader, strconv.Itoa(envdclient.Port))
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	defer response.Body.Close()
	return response.StatusCode
}
