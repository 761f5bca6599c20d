package host_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/host"
	"git.omukk.dev/wrenn/sandbox/pkg/host/hosttest"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

func newClient(t *testing.T, socket string) *host.Client {
	t.Helper()
	client := host.NewClient(socket)
	t.Cleanup(client.Close)
	return client
}

func TestClient_GivesEachOfTheAgentsCodesItsMeaning(t *testing.T) {
	t.Parallel()
	agent := hosttest.Start(t, http.NotFoundHandler())
	client := newClient(t, agent.RPCSocket)
	for code, want := range map[connect.Code]fault.Code{
		connect.CodeNotFound:           fault.NotFound,
		connect.CodeFailedPrecondition: fault.Conflict,
		connect.CodeResourceExhausted:  fault.Exhausted,
		connect.CodeUnavailable:        fault.Unavailable,
		connect.CodeAborted:            fault.Unavailable,
		connect.CodeDeadlineExceeded:   fault.Timeout,
		connect.CodeCanceled:           fault.Conflict,
		connect.CodeInternal:           fault.Internal,
		connect.CodeInvalidArgument:    fault.Internal,
	} {
		agent.Before(func(context.Context, string, string) error { return connect.NewError(code, errors.New("reason")) })
		_, err := client.PauseSandbox(t.Context(), "isandbox", sandbox.Pause{})
		require.Equal(t, want, fault.CodeOf(err), code)
		require.ErrorContains(t, err, "pause sandbox isandbox", "the log says what was being done")
	}
}

func TestClient_GivesEachOfTheAgentsReasonsItsMeaning(t *testing.T) {
	t.Parallel()
	agent := hosttest.Start(t, http.NotFoundHandler())
	client := newClient(t, agent.RPCSocket)
	for number := range pb.Reason_name {
		reason := pb.Reason(number)
		agent.Before(func(context.Context, string, string) error {
			return host.Refuse(reason, "because", errors.New("reason"))
		})
		_, err := client.PauseSandbox(t.Context(), "isandbox", sandbox.Pause{})
		require.Error(t, err)
		var shown *fault.Error
		if reason == pb.Reason_REASON_UNSPECIFIED {
			require.NotErrorAs(t, err, &shown)
			continue
		}
		require.ErrorAs(t, err, &shown, "%s has no meaning", reason)
		require.Equal(t, "because", shown.Message, reason)
	}
}

func TestClient_FindsNobodyBehindASocket(t *testing.T) {
	t.Parallel()
	client := newClient(t, filepath.Join(t.TempDir(), "nobody.sock"))
	_, err := client.Info(t.Context())
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
}

func TestClient_TakesAHostThatDiesInTheMiddleOfACallForAway(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "dying.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1)) // the rest, unread, makes it a reset
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-ended
	})
	_, err = newClient(t, socket).PauseSandbox(t.Context(), "isandbox", sandbox.Pause{})
	require.True(t, fault.Is(err, fault.Unavailable), "%v", err)
}

func TestKillSandbox_ThatTheHostDoesNotHaveIsDone(t *testing.T) {
	t.Parallel()
	agent := hosttest.Start(t, http.NotFoundHandler())
	require.NoError(t, newClient(t, agent.RPCSocket).KillSandbox(t.Context(), "iunknown"))
}

func TestWatchSandboxes_TellsWhatIsAndWhatChanges(t *testing.T) {
	t.Parallel()
	agent := hosttest.Start(t, http.NotFoundHandler())
	agent.Put("ifirst", pb.SandboxState_SANDBOX_STATE_RUNNING)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var seen []sandbox.State
	err := newClient(t, agent.RPCSocket).WatchSandboxes(ctx, func(s host.Sandbox) {
		seen = append(seen, s.State)
		switch len(seen) {
		case 1:
			agent.Put("ifirst", pb.SandboxState_SANDBOX_STATE_PAUSED)
		case 2:
			agent.Put("ifirst", pb.SandboxState_SANDBOX_STATE_GONE)
		default:
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []sandbox.State{sandbox.Running, sandbox.Paused, sandbox.Killed}, seen)
}
