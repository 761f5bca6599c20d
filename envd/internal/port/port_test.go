package port

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"git.omukk.dev/wrenn/sandbox/envd/internal/cgroups"
)

// outside is another address of this machine than the one servers listen on.
// The scanner takes all of 127.0.0.0/8 for loopback, so forwarders themselves
// are seen as servers here; their addresses differ, and socat refuses twins.
var outside = netip.MustParseAddr("127.77.0.2")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newScanner() *scanner {
	return &scanner{tables: [2]int{-1, -1}, found: make(map[listener]struct{}), open: make(map[uint16]struct{})}
}

func TestParse_FindsListenersOnLoopback(t *testing.T) {
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
	s := newScanner()
	s.parse([]byte(tcp), false)
	s.parse([]byte(tcp6), true)
	require.Equal(t, map[listener]struct{}{
		{port: 8080}: {}, {port: 3000, ipv6: true}: {}, {port: 3001}: {},
	}, s.found)
	require.Equal(t, map[uint16]struct{}{80: {}, 3002: {}}, s.open)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("   0: 0100007F:1F90 00000000:0000 0A"), false)
	f.Add([]byte("0: :::: 0A 0A 0A\n\n\n"), true)
	f.Fuzz(func(t *testing.T, table []byte, ipv6 bool) {
		s := newScanner()
		s.parse(table, ipv6)
		require.LessOrEqual(t, len(s.found)+len(s.open), 1+bytes.Count(table, []byte("\n")), "a line is one listener at most")
		for server := range s.found {
			require.NotZero(t, server.port)
			if server.ipv6 {
				require.True(t, ipv6)
			}
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

func TestScanner_ForwardsEachPortOnceAndNoneThatIsReachable(t *testing.T) {
	first, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer first.Close()
	port := first.Addr().(*net.TCPAddr).Port
	twin, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	defer twin.Close()
	wide, err := net.Listen("tcp6", "[::]:0")
	require.NoError(t, err)
	defer wide.Close()
	s, err := openScanner()
	require.NoError(t, err)
	defer s.close()
	require.NoError(t, s.scan())
	require.Contains(t, s.found, listener{port: uint16(port)})
	require.NotContains(t, s.found, listener{port: uint16(port), ipv6: true})
	require.Contains(t, s.open, uint16(wide.Addr().(*net.TCPAddr).Port))
}

func TestScanner_ReadsATableLargerThanItsBuffer(t *testing.T) {
	const count = 300 // of lines of 150 bytes
	s, err := openScanner()
	require.NoError(t, err)
	defer s.close()
	small := len(s.buffer)
	var ports []uint16
	for range count {
		server, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		defer server.Close()
		ports = append(ports, uint16(server.Addr().(*net.TCPAddr).Port))
	}
	require.NoError(t, s.scan())
	require.Greater(t, len(s.buffer), small)
	for _, port := range ports {
		require.Contains(t, s.found, listener{port: port})
	}
}

// serveGreeting listens on loopback and greets whoever connects.
func serveGreeting(t *testing.T, address string) (port uint16, stop func()) {
	t.Helper()
	server, err := net.Listen("tcp", address)
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
	stop = func() { server.Close(); serving.Wait() }
	t.Cleanup(stop)
	return uint16(server.Addr().(*net.TCPAddr).Port), stop
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

func needSocat(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("socat"); err != nil {
		t.Skip("needs socat; run: apt-get install socat")
	}
}

func TestSubsystem_ReachesAServerOnLoopbackUntilItIsStopped(t *testing.T) {
	needSocat(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		port, _ := serveGreeting(t, address)
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
}

func TestFollow_EndsTheForwarderOfAServerThatIsGone(t *testing.T) {
	needSocat(t)
	port, stop := serveGreeting(t, "127.0.0.1:0")
	f := newForwarders(outside, &cgroups.Groups{}, slog.New(slog.DiscardHandler))
	defer f.stopAll()
	server := listener{port: port}
	f.follow(map[listener]struct{}{server: {}})
	require.Eventually(t, func() bool { return greeting(port) == "hello" }, 10*time.Second, 10*time.Millisecond)
	running := f.running[server]
	f.follow(map[listener]struct{}{server: {}})
	require.Same(t, running, f.running[server], "one forwarder is enough")
	stop()
	f.follow(nil)
	require.Empty(t, f.running)
	require.True(t, running.hasEnded())
}

func TestFollow_DoesNotSpinOnAPortThatIsTaken(t *testing.T) {
	needSocat(t)
	taken, err := net.Listen("tcp", netip.AddrPortFrom(outside, 0).String())
	require.NoError(t, err)
	defer taken.Close()
	server := listener{port: uint16(taken.Addr().(*net.TCPAddr).Port)}
	f := newForwarders(outside, &cgroups.Groups{}, slog.New(slog.DiscardHandler))
	defer f.stopAll()
	f.follow(map[listener]struct{}{server: {}})
	failed := f.running[server]
	require.Eventually(t, failed.hasEnded, 10*time.Second, time.Millisecond)
	f.follow(map[listener]struct{}{server: {}})
	require.Same(t, failed, f.running[server], "it is too early to try again")
	failed.started = time.Now().Add(-retryEvery)
	f.follow(map[listener]struct{}{server: {}})
	require.NotSame(t, failed, f.running[server])
}

func TestFollow_SaysOnceThatSocatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var logged bytes.Buffer
	f := newForwarders(outside, &cgroups.Groups{}, slog.New(slog.NewTextHandler(&logged, nil)))
	for range 3 {
		f.follow(map[listener]struct{}{{port: 1}: {}})
	}
	require.Equal(t, 1, strings.Count(logged.String(), "socat"))
	require.Empty(t, f.running)
}

func TestSubsystem_BearsCallsFromEverywhere(*testing.T) {
	s := New(outside, &cgroups.Groups{}, slog.New(slog.DiscardHandler))
	var callers sync.WaitGroup
	for i := range 30 {
		callers.Go(func() { []func(){s.Start, s.Stop, s.Restart}[i%3]() })
	}
	callers.Wait()
	s.Stop()
}
