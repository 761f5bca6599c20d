package up

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNotify_TellsTheSocketThatSystemdNames(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	t.Setenv("NOTIFY_SOCKET", socket)
	require.NoError(t, notify("READY=1"))
	message := make([]byte, 64)
	n, err := listener.Read(message)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(message[:n]))

	t.Setenv("NOTIFY_SOCKET", "")
	require.NoError(t, notify("READY=1"), "not run by systemd")
}
