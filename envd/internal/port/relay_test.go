package port

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseListen_ReadsWhatAForwarderSays(t *testing.T) {
	address, err := parseListen("TCP4-LISTEN:8080,bind=169.254.7.2,reuseaddr,fork")
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddrPort("169.254.7.2:8080"), address)
	for _, wrong := range []string{"", "TCP4-LISTEN:", "TCP4-LISTEN:70000,bind=1.2.3.4", "TCP4-LISTEN:1", "TCP4-LISTEN:1,bind=x", "UDP:1,bind=1.2.3.4"} {
		_, err := parseListen(wrong)
		require.Error(t, err, wrong)
	}
}

func TestParseConnect_ReadsWhatAForwarderSays(t *testing.T) {
	for text, want := range map[string]string{"TCP4:127.0.0.1:80": "127.0.0.1:80", "TCP6:[::1]:80": "[::1]:80"} {
		address, err := parseConnect(text)
		require.NoError(t, err)
		require.Equal(t, netip.MustParseAddrPort(want), address)
	}
	for _, wrong := range []string{"", "TCP4:", "EXEC:sh", "UDP:127.0.0.1:80"} {
		_, err := parseConnect(wrong)
		require.Error(t, err, wrong)
	}
}

func TestRelay_SaysWhatIsWrong(t *testing.T) {
	var said bytes.Buffer
	require.Equal(t, 1, Relay([]string{"TCP4-LISTEN:1"}, &said))
	require.Contains(t, said.String(), "an address to listen on and one to connect to")
}

// A client that has sent all still gets the answer.
func TestServeRelay_PassesOnTheEndOfEachDirection(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			content, _ := io.ReadAll(conn)
			_, _ = conn.Write(bytes.ToUpper(content))
			conn.Close()
		}
	})
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	serving.Go(func() { _ = serveRelay(listener, netip.MustParseAddrPort(server.Addr().String())) })
	for range 3 {
		client, err := net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr))
		require.NoError(t, err)
		_, err = io.WriteString(client, strings.Repeat("hello", 1000))
		require.NoError(t, err)
		require.NoError(t, client.CloseWrite())
		answer, err := io.ReadAll(client)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("HELLO", 1000), string(answer))
		require.NoError(t, client.Close())
	}
	require.NoError(t, listener.Close())
	require.NoError(t, server.Close())
	serving.Wait()
}
