package chaos

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/gen/hostagent/v1/hostagentv1connect"
	"git.omukk.dev/wrenn/sandbox/internal/hostagent"
)

// takeDown runs an agent that keeps nothing running, and has it stop: an agent
// that does leaves its storage and firewall for the next one.
func takeDown(t *testing.T, dataDir string) {
	t.Helper()
	envd, err := filepath.Abs("../../bin/envd")
	require.NoError(t, err)
	socket := filepath.Join(dataDir, "rpc.sock")
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() {
		stopped <- hostagent.Run(ctx, hostagent.Config{
			DataDir: dataDir, CacheDir: "/var/cache/wrenn", EnvdPath: envd, RPCSocket: socket,
			TrafficSocket: filepath.Join(dataDir, "traffic.sock"), Version: "test",
			Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		})
	}()
	client := hostagentv1connect.NewHostAgentClient(unixClient(socket), "http://agent")
	require.Eventually(t, func() bool {
		_, err := client.GetInfo(t.Context(), connect.NewRequest(&pb.GetInfoRequest{}))
		return err == nil
	}, startTimeout, 20*time.Millisecond)
	stop()
	require.NoError(t, <-stopped)
}
