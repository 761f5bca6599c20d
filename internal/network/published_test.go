package network

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

const (
	// The host under its own address, and where it publishes a container's port.
	hostAddress   = "192.0.2.1"
	publishedPort = 8080
	// relayPort is the same for a server that is elsewhere.
	relayPort = 8081
	// mirrored is a public address that the host has sent to the container.
	mirrored  = "203.0.113.30"
	container = "172.17.0.2"
)

// TestHostFirewall_KeepsGuestsFromWhatTheHostPublishes has the host rewrite
// destinations, as container runtimes do, to a server on a bridge of its own.
func TestHostFirewall_KeepsGuestsFromWhatTheHostPublishes(t *testing.T) {
	w, _, guest := newPlace(t)
	startContainer(t)
	publish(t)
	published := net.JoinHostPort(hostAddress, "8080")
	require.NoError(t, inNamespace(worldNamespace, func() error {
		conn, err := net.DialTimeout("tcp4", published, patience)
		if err != nil {
			return err
		}
		defer conn.Close()
		return say(conn, patience)
	}), "whoever is not a guest reaches it")
	dialled := func(address string) error {
		conn, err := guest.slot.dial(timeout(t, impatience), "tcp4", address) // without the guest's own firewall
		if err == nil {
			conn.Close()
		}
		return err
	}
	require.NoError(t, dialled(net.JoinHostPort(webServer, echoPort)))
	for _, address := range []string{published, net.JoinHostPort(mirrored, echoPort), net.JoinHostPort(container, echoPort)} {
		require.Error(t, dialled(address), address)
	}
	_, err := guest.dial(timeout(t, impatience), "tcp4", published)
	require.Error(t, err)
	guest.cannotReach(mirrored)
	guest.apply(egress.Spec{DenyOut: []string{evilServer}})
	_, err = guest.dial(timeout(t, impatience), "tcp4", net.JoinHostPort(hostAddress, "8081"))
	require.Error(t, err, "the host is no way around a policy")
	w.name("good.example", webServer)
	_, err = guest.resolve("good.example")
	require.NoError(t, err, "the host's name server is in a private range, too")
}

// startContainer puts an echo server into a namespace beside the host.
func startContainer(t *testing.T) {
	t.Helper()
	const namespace = "test-container"
	require.NoError(t, inNewNamespace(namespace, func() error { return nil }))
	t.Cleanup(func() { require.NoError(t, deleteNamespace(namespace)) })
	require.NoError(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "docker0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(openNamespace(t, namespace))),
	}))
	t.Cleanup(func() { require.NoError(t, deleteLink("docker0")) })
	require.NoError(t, bringUp("docker0", netip.MustParseAddr("172.17.0.1"), 30))
	require.NoError(t, inNamespace(namespace, func() error {
		if err := bringUp("eth0", netip.MustParseAddr(container), 30); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP("172.17.0.1")})
	}))
	serveEcho(t, namespace)
}

// publish rewrites what comes to the host's port, and to the mirrored address.
func publish(t *testing.T) {
	t.Helper()
	conn, err := nftables.New()
	require.NoError(t, err)
	table := conn.AddTable(&nftables.Table{Name: "runtime", Family: nftables.TableFamilyIPv4})
	prerouting := conn.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	rewriteTo := func(address string) []expr.Any {
		return []expr.Any{
			&expr.Immediate{Register: 1, Data: netip.MustParseAddr(address).AsSlice()},
			&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(7000)},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
		}
	}
	host, tcp := destinationIs(netip.MustParseAddr(hostAddress)), protocolIs(unix.IPPROTO_TCP)
	add(conn, prerouting, rule(rewriteTo(container), host, tcp, destinationPort(publishedPort)))
	add(conn, prerouting, rule(rewriteTo(evilServer), host, tcp, destinationPort(relayPort)))
	add(conn, prerouting, rule(rewriteTo(container), destinationIs(netip.MustParseAddr(mirrored)), tcp))
	require.NoError(t, conn.Flush())
	t.Cleanup(func() {
		conn.DelTable(table)
		require.NoError(t, conn.Flush())
	})
}
