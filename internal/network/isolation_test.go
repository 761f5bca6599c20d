package network

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

func TestSlot_TakesNoPacketsUnderAnotherAddress(t *testing.T) {
	w, _, guest := newPlace(t)
	for _, source := range []string{evilServer, guest.slot.hostSide.String(), guest.slot.Address().String()} {
		require.NoError(t, inNamespace(guest.namespace, func() error {
			return bringUp("eth0", netip.MustParseAddr(source), 32)
		}))
		guest.say(source, "as another")
	}
	guest.say(GuestIP, "as itself")
	require.Eventually(t, func() bool { return w.hasHeard("as itself") }, patience, time.Millisecond)
	require.False(t, w.hasHeard("as another"))
}

// say sends a datagram to the web server.
func (g *guest) say(source, what string) {
	g.t.Helper()
	require.NoError(g.t, inNamespace(g.namespace, func() error {
		dialer := &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
		conn, err := dialer.DialContext(g.t.Context(), "udp4", net.JoinHostPort(webServer, echoPort))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = io.WriteString(conn, what)
		return err
	}))
}

func TestSlot_TellsTheGuestWhatRoutersSay(t *testing.T) {
	_, _, guest := newPlace(t)
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{unreachable}})
	_, err := guest.dial(t.Context(), "tcp4", net.JoinHostPort(unreachable, echoPort))
	require.ErrorIs(t, err, unix.EHOSTUNREACH)
}

func TestSlot_SpeaksNoIPv6(t *testing.T) {
	_, _, guest := newPlace(t)
	var addresses []netlink.Addr
	require.NoError(t, inNamespace(guest.slot.namespaceName(), func() (err error) {
		addresses, err = netlink.AddrList(nil, netlink.FAMILY_V6)
		return err
	}))
	require.Empty(t, addresses)
}

// newPlace is a pool in a world, and a guest in one of its slots.
func newPlace(t *testing.T) (*world, *Pool, *guest) {
	t.Helper()
	w := newWorld(t)
	pool := newPoolIn(t, w, t.TempDir(), egress.Limits{})
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return w, pool, newTenant(t, w, pool)
}

func newPoolIn(t *testing.T, w *world, stateDir string, limits egress.Limits) *Pool {
	t.Helper()
	pool, err := NewPool(t.Context(), Config{
		StateDir: stateDir, Range: testRange, Log: slog.New(slog.DiscardHandler),
		Resolver: netip.MustParseAddr(nameServer), Roots: w.roots, Limits: limits,
	})
	require.NoError(t, err)
	return pool
}

func newTenant(t *testing.T, w *world, pool *Pool) *guest {
	t.Helper()
	slot := acquire(t, pool)
	guest := newGuest(t, slot, w.roots)
	t.Cleanup(func() { pool.Release(guest.slot) })
	return guest
}

func TestSlot_LetsTheGuestOutToPublicAddressesOnly(t *testing.T) {
	w, pool, guest := newPlace(t)
	guest.reaches(webServer, otherServer)
	for _, server := range insideServers {
		requireHostReaches(t, server) // so that it is the guest's rules that keep it out
	}
	guest.cannotReach(insideServers...)
	w.name("good.example", webServer)
	answer, err := guest.get("http://good.example/", "")
	require.NoError(t, err)
	require.Contains(t, answer, webServer)

	neighbour := newTenant(t, w, pool)
	serveEcho(t, neighbour.namespace)
	serveEcho(t, "")
	requireHostReaches(t, neighbour.slot.Address().String())
	for _, server := range []string{neighbour.slot.Address().String(), neighbour.slot.hostSide.String(), guest.slot.hostSide.String()} {
		require.ErrorIs(t, guest.echo(server, patience), unix.ECONNREFUSED, "refused in the slot, before the host has to")
	}
	guest.cannotReach(
		"192.0.2.1",                              // the host, under its own address
		guest.slot.Address().String(), GatewayIP, // its own namespace
	)
}

func requireHostReaches(t *testing.T, host string) {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp4", net.JoinHostPort(host, echoPort))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, say(conn, patience))
}

// serveEcho starts an echo server in a namespace, or on the host.
func serveEcho(t *testing.T, namespace string) {
	t.Helper()
	var listener net.Listener
	listen := func() (err error) {
		listener, err = net.Listen("tcp4", "0.0.0.0:"+echoPort)
		return err
	}
	if namespace == "" {
		require.NoError(t, listen())
	} else {
		require.NoError(t, inNamespace(namespace, listen))
	}
	ctx := t.Context()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { listener.Close() })
	serving.Go(func() { echo(ctx, &serving, listener) })
}

func TestSlot_LetsTheHostReachTheGuest(t *testing.T) {
	_, _, guest := newPlace(t)
	serveEcho(t, guest.namespace)
	for _, policy := range []egress.Spec{{}, {DenyInternet: true}, {DenyInternet: true, AllowOut: []string{"good.example"}}} {
		guest.apply(policy)
		requireHostReaches(t, guest.slot.Address().String())
	}
}

// TestSlot_LetsOnlyTheAgentOut has users other than root send from inside a
// slot's namespace, where a VMM is, too.
func TestSlot_LetsOnlyTheAgentOut(t *testing.T) {
	w, _, guest := newPlace(t)
	as := func(user int, network, say string) error {
		return inNamespace(guest.slot.namespaceName(), func() error {
			// Of this thread only, which ends with it.
			if _, _, failure := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user)); failure != 0 {
				return failure
			}
			conn, err := net.DialTimeout(network, net.JoinHostPort(webServer, echoPort), impatience)
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = io.WriteString(conn, say)
			return err
		})
	}
	const nobody = 65534
	for _, network := range []string{"udp4", "tcp4"} {
		require.Error(t, as(nobody, network, "as a VMM"), network)
		require.NoError(t, as(0, network, "as the agent"), network)
	}
	require.Eventually(t, func() bool { return w.hasHeard("as the agent") }, patience, time.Millisecond)
	require.False(t, w.hasHeard("as a VMM"))
}
