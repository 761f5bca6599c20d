package port

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
	"go.uber.org/goleak"
)

// outside is another address of this machine than the one servers listen on.
// The scanner takes all of 127.0.0.0/8 for loopback, so forwarders themselves
// are seen as servers here; their addresses differ, and socat refuses twins.
var outside = netip.MustParseAddr("127.77.0.2")

func TestParseTable_FindsListenersOnLoopback(t *testing.T) {
	const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 3 1 0 100 0 0 10 0
   3: 0207A8C0:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4 1 0 100 0 0 10 0
garbage
`
	const tcp6 = `  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 0:0
   1: 0000000000000000FFFF00000100007F:0BB9 00000000000000000000000000000000:0000 0A 0:0
   2: 00000000000000000000000000000000:0BBA 00000000000000000000000000000000:0000 0A 0:0
`
	found := make(map[listener]struct{})
	parseTable([]byte(tcp), false, found)
	parseTable([]byte(tcp6), true, found)
	require.Equal(t, map[listener]struct{}{
		{port: 8080}: {}, {port: 3000, ipv6: true}: {}, {port: 3001}: {},
	}, found)
}

func FuzzParseTable(f *testing.F) {
	f.Add([]byte("   0: 0100007F:1F90 00000000:0000 0A"), false)
	f.Add([]byte("0: :::: 0A 0A 0A\n\n\n"), true)
	f.Fuzz(func(t *testing.T, table []byte, ipv6 bool) {
		found := make(map[listener]struct{})
		parseTable(table, ipv6, found)
		for server := range found {
			require.NotZero(t, server.port)
		}
	})
}

func TestScanner_AnIdleScanAllocatesNothing(t *testing.T) {
	s, err := openScanner()
	require.NoError(t, err)
	defer s.close()
	require.NoError(t, s.scan()) // the buffer finds its size
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := s.scan(); err != nil {
			t.Fatal(err)
		}
	}))
}

// serveGreeting listens on loopback and greets whoever connects.
func serveGreeting(t *testing.T) uint16 {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "hello")
			conn.Close()
		}
	})
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return uint16(server.Addr().(*net.TCPAddr).Port)
}

func greeting(port uint16) string {
	conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(outside, port).String(), time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	buffer := make([]byte, 16)
	n, _ := conn.Read(buffer)
	return string(buffer[:n])
}

func TestSubsystem_ReachesAServerOnLoopbackUntilItIsStopped(t *testing.T) {
	if _, err := exec.LookPath("socat"); err != nil {
		t.Skip("needs socat; run: apt-get install socat")
	}
	port := serveGreeting(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := New(outside, &cgroups.Groups{}, slog.New(slog.DiscardHandler))
	for range 2 { // and once more after a stop
		s.Start()
		s.Start()
		require.Eventually(t, func() bool { return greeting(port) == "hello" }, 10*time.Second, 20*time.Millisecond)
		s.Stop()
		s.Stop()
		require.NotEqual(t, "hello", greeting(port), "no forwarder survives Stop")
	}
}

func TestSubsystem_BearsCallsFromEverywhere(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := New(outside, &cgroups.Groups{}, slog.New(slog.DiscardHandler))
	var callers sync.WaitGroup
	for i := range 30 {
		callers.Go(func() { []func(){s.Start, s.Stop, s.Restart}[i%3]() })
	}
	callers.Wait()
	s.Stop()
}
