package vmmtest

import (
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/vmm"
)

// readMetadata reads the metadata with a token, and fails if it can be read without.
const readMetadata = `set -e
service=http://169.254.169.254
test "$(curl -s -o /dev/null -w '%{http_code}' $service/)" = 401
token=$(curl -sf -X PUT -H 'X-metadata-token-ttl-seconds: 60' $service/latest/api/token)
curl -sf -H "X-metadata-token: $token" -H 'Accept: application/json' $service/`

// testMetadata restores two machines with different metadata from one snapshot.
func (s *suite) testMetadata(t *testing.T) {
	if !vmm.CapabilitiesOf(s.driver).Metadata {
		t.Skip("the driver serves no metadata")
	}
	for _, want := range []map[string]string{{"sandbox": "one", "build": "b"}, {"sandbox": "two"}} {
		g := s.restoreAs(t, s.base(t), func(spec *vmm.Spec) { spec.Metadata = want })
		var got map[string]string
		require.NoError(t, json.Unmarshal([]byte(g.run(t, readMetadata)), &got))
		require.Equal(t, want, got)
		g.end(t)
	}
}

// serveTransfer runs a server in the guest that sends or receives transferBytes; the
// first byte of a connection says which.
const (
	transferPort  = 7000
	transferBytes = 4 << 20
	// transferTimeout is long because a limited transfer is slow, and a nested guest
	// under emulation slower.
	transferTimeout = 2 * time.Minute
	serveTransfer   = `cat > /dev/shm/serve.py <<'END'
import socket
listener = socket.create_server(("", 7000))
while True:
    connection, _ = listener.accept()
    if connection.recv(1) == b"s":
        connection.sendall(bytes(4 << 20))
    else:
        left = 4 << 20
        while left:
            left -= len(connection.recv(left))
        connection.sendall(b"!")
    connection.close()
END
python3 /dev/shm/serve.py >/dev/null 2>&1 </dev/null & disown`
)

// testNetworkLimit measures both directions with a limit and without: a transfer that
// is slow without one proves nothing.
func (s *suite) testNetworkLimit(t *testing.T) {
	if !vmm.CapabilitiesOf(s.driver).NetworkLimit {
		t.Skip("the driver keeps to no limit of the network")
	}
	const bytesPerSecond = transferBytes / 8
	const atLeast = 6 * time.Second // the bucket begins full
	limited := s.restoreAs(t, s.base(t), func(spec *vmm.Spec) { spec.NetworkBytesPerSecond = bytesPerSecond })
	limited.run(t, serveTransfer)
	require.Greater(t, limited.transfer(t, sending), atLeast, "what the guest sends")
	require.Greater(t, limited.transfer(t, receiving), atLeast, "what the guest receives")
	limited.pause(t)
	taken := s.snapshot(t, limited)
	limited.end(t)

	free := s.restore(t, taken)
	free.transfer(t, sending) // the first one brings the guest's memory in, which takes seconds
	require.Less(t, free.transfer(t, sending), atLeast, "the limit is the snapshot's, not the machine's")
	require.Less(t, free.transfer(t, receiving), atLeast, "the limit is the snapshot's, not the machine's")
}

// The first byte of a connection to serveTransfer.
const (
	sending   = "s"
	receiving = "r"
)

// transfer measures one transfer to or from the guest.
func (g *guest) transfer(t *testing.T, direction string) time.Duration {
	t.Helper()
	deadline := time.Now().Add(answerTimeout)
	address := net.TCPAddrFromAddrPort(netip.AddrPortFrom(g.slot.Address(), transferPort))
	connection, err := net.DialTCP("tcp", nil, address)
	for err != nil {
		require.Less(t, time.Now(), deadline, "the guest's server does not listen: %v", err)
		connection, err = net.DialTCP("tcp", nil, address)
	}
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(transferTimeout)))
	began := time.Now()
	_, err = io.WriteString(connection, direction)
	require.NoError(t, err)
	want := int64(transferBytes)
	if direction == receiving {
		_, err = connection.Write(make([]byte, transferBytes))
		require.NoError(t, err)
		want = 1
	}
	got, err := io.Copy(io.Discard, connection)
	require.NoError(t, err, "%d bytes came of %d in %s", got, want, time.Since(began))
	require.Equal(t, want, got)
	took := time.Since(began)
	t.Logf("%d bytes took %s", transferBytes, took)
	return took
}
