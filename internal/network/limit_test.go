package network

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

const (
	size           = 2 << 20
	bytesPerSecond = 4 << 20
	// limitedTime is below what the size takes at the rate, less what a device's
	// queue lets through at once, and what is on its way.
	limitedTime = 350 * time.Millisecond
)

// requireUnlimited forgives a machine that is busy with something else.
func requireUnlimited(t *testing.T, conn net.Conn) {
	t.Helper()
	require.Eventually(t, func() bool { return transfer(t, conn) < limitedTime }, 2*patience, time.Millisecond)
}

// transfer sends bytes to an echo server and reads them back, and tells how long
// it took.
func transfer(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*patience)))
	began := time.Now()
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(conn, zeros{}, size)
		sent <- err
	}()
	_, err := io.CopyN(io.Discard, conn, size)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	return time.Since(began)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestApply_LimitsBandwidth(t *testing.T) {
	_, _, guest := newPlace(t)
	serveEcho(t, guest.namespace)
	fromHost, err := new(net.Dialer).DialContext(t.Context(), "tcp4", net.JoinHostPort(guest.slot.Address().String(), echoPort))
	require.NoError(t, err)
	defer fromHost.Close()
	limits := map[string]egress.Limits{
		"upload":   {UploadBytesPerSecond: bytesPerSecond},
		"download": {DownloadBytesPerSecond: bytesPerSecond},
	}
	for name, limit := range limits {
		guest.apply(egress.Spec{Limits: limit})
		took := transfer(t, guest.open(webServer))
		require.Greater(t, took, limitedTime, name)
		require.Less(t, took, patience, name)
		requireUnlimited(t, fromHost)
	}
	guest.apply(egress.Spec{})
	requireUnlimited(t, guest.open(webServer))
}

func TestApply_LimitsConnections(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	limited := egress.Spec{Limits: egress.Limits{Connections: 3}}
	guest.apply(limited)
	open := []net.Conn{guest.open(webServer), guest.open(otherServer), guest.open(evilServer)}
	guest.cannotReach(webServer)
	_, err := guest.resolve("good.example")
	require.Error(t, err, "a question is counted too")
	limited.DenyOut = []string{"192.0.2.128/25"}
	guest.apply(limited)
	guest.cannotReach(otherServer) // the count has outlived the change
	serveEcho(t, guest.namespace)
	requireHostReaches(t, guest.slot.Address().String())
	require.NoError(t, open[0].Close())
	require.Eventually(t, func() bool { return guest.echo(webServer, impatience) == nil }, patience, time.Millisecond)
}

// TestPool_LimitsEverySlot follows the host's limits through the life of a slot.
func TestPool_LimitsEverySlot(t *testing.T) {
	w, stateDir := newWorld(t), t.TempDir()
	limits := egress.Limits{UploadBytesPerSecond: bytesPerSecond, DownloadBytesPerSecond: bytesPerSecond, Connections: 2}
	pool := newPoolIn(t, w, stateDir, limits)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	guest := newGuest(t, acquire(t, pool), w.roots)
	t.Cleanup(func() { pool.Release(guest.slot) })
	// limited holds the guest to so many connections at a time and to the rate.
	limited := func(when string, connections int) {
		t.Helper()
		var open []net.Conn
		for range connections {
			var conn net.Conn
			require.Eventually(t, func() (opened bool) { // what was open before ends in a moment
				var err error
				conn, err = guest.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, echoPort))
				return err == nil
			}, patience, time.Millisecond, when)
			open = append(open, conn)
		}
		require.Error(t, guest.echo(webServer, impatience), when)
		require.Greater(t, transfer(t, open[0]), limitedTime, when)
		for _, conn := range open {
			require.NoError(t, conn.Close())
		}
	}
	limited("under the default policy", 2)
	guest.apply(egress.Spec{DenyOut: []string{evilServer}})
	limited("under a policy without limits", 2)
	guest.apply(egress.Spec{Limits: egress.Limits{Connections: 100, UploadBytesPerSecond: 100 * bytesPerSecond}})
	limited("under a looser policy", 2)
	guest.apply(egress.Spec{Limits: egress.Limits{Connections: 1}})
	limited("under a tighter policy", 1)

	pool.Leave()
	limits.Connections = 3
	pool = newPoolIn(t, w, stateDir, limits)
	var err error
	guest.slot, err = pool.Adopt(guest.slot.Name())
	require.NoError(t, err)
	guest.apply(egress.Spec{})
	limited("taken over by a host with other limits", 3)
}

func TestApply_BoundsTheQuestionsThatAGuestAsks(t *testing.T) {
	_, _, guest := newPlace(t)
	for name, spec := range map[string]egress.Spec{
		"its gateway":            {DenyInternet: true, AllowOut: []string{"good.example"}},
		"the host's name server": {},
	} {
		guest.apply(spec)
		answers, asked := guest.flood("evil.example.")
		require.Greater(t, answers, 2*maxAsks-1, name)
		require.Less(t, answers, asked/3, name)
	}
}

// flood asks for a name as fast as it goes, and counts the answers.
func (g *guest) flood(name string) (answers, asked int) {
	g.t.Helper()
	question, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
	require.NoError(g.t, err)
	conn, err := g.dial(g.t.Context(), "udp4", net.JoinHostPort(GatewayIP, "53"))
	require.NoError(g.t, err)
	defer conn.Close()
	const rounds, burst = 500, 10
	answer := make([]byte, 512)
	for range rounds {
		for range burst {
			_, err := conn.Write(question)
			require.NoError(g.t, err)
		}
		require.NoError(g.t, conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
		for err = nil; err == nil; answers++ {
			_, err = conn.Read(answer)
		}
		answers--
	}
	// Those that were on their way.
	require.NoError(g.t, conn.SetReadDeadline(time.Now().Add(time.Second)))
	for err = nil; err == nil; answers++ {
		_, err = conn.Read(answer)
	}
	return answers - 1, rounds * burst
}

func TestApply_LimitsConnectionsThroughTheGateway(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example"}, Limits: egress.Limits{Connections: 2}})
	for range 2 {
		conn, err := guest.dial(t.Context(), "tcp4", net.JoinHostPort(webServer, "80"))
		require.NoError(t, err)
		defer conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), impatience)
	defer cancel()
	_, err := guest.dial(ctx, "tcp4", net.JoinHostPort(webServer, "80"))
	require.Error(t, err)
}

func TestRelease_ForgetsTheConnectionsOfTheSlot(t *testing.T) {
	_, pool, guest := newPlace(t)
	slot := acquire(t, pool)
	tenant := newGuest(t, slot, guest.roots)
	serveEcho(t, tenant.namespace)
	requireHostReaches(t, slot.Address().String())
	tenant.open(webServer)
	_, _ = tenant.resolve("good.example")
	guest.open(webServer)
	known := func(address netip.Addr) int {
		return flows(t, "", func(flow *netlink.ConntrackFlow) bool {
			return flow.Forward.SrcIP.String() == address.String() || flow.Forward.DstIP.String() == address.String()
		})
	}
	require.Equal(t, 3, known(slot.Address()))
	others := known(guest.slot.Address())
	device := device(t, slot)
	pool.Release(slot)
	require.Eventually(t, func() bool {
		_, err := netlink.LinkByIndex(device)
		return err != nil && known(slot.Address()) == 0
	}, patience, time.Millisecond)
	require.Equal(t, others, known(guest.slot.Address()))
}

func TestListenForFiles_TakesFewNewConnections(t *testing.T) {
	_, _, guest := newPlace(t)
	listener, err := guest.slot.ListenForFiles(t.Context())
	require.NoError(t, err)
	accepted := make(chan int)
	go func() {
		count := 0
		for {
			conn, err := listener.Accept()
			if err != nil {
				accepted <- count
				return
			}
			conn.Close()
			count++
		}
	}()
	const tries = 100
	for range tries {
		conn, err := guest.dial(timeout(t, 20*time.Millisecond), "tcp4", net.JoinHostPort(GatewayIP, "2049"))
		if err == nil {
			conn.Close()
		}
	}
	require.NoError(t, listener.Close())
	count := <-accepted
	require.GreaterOrEqual(t, count, 2*maxMounts)
	require.Less(t, count, tries/2)
}
