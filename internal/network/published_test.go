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
	}), "clients that are not guests reach it")
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

func TestHostFirewall_LetsTheNameServerBeElsewhere(t *testing.T) {
	w, _, guest := newPlace(t)
	w.name("good.example", webServer)
	rewrite(t,
		rule(toAddress(hiddenNameServer, domainPort), destinationIs(netip.MustParseAddr(nameServer)), protocolIs(unix.IPPROTO_UDP)),
		rule(toAddress(hiddenNameServer, domainPort), destinationIs(netip.MustParseAddr(nameServer)), protocolIs(unix.IPPROTO_TCP)))
	for name, spec := range map[string]egress.Spec{
		"in the kernel": {}, "by the gateway": {DenyInternet: true, AllowOut: []string{"good.example"}},
	} {
		guest.apply(spec)
		for _, network := range []string{"udp", "tcp"} {
			address, err := guest.resolveBy(network, "good.example")
			require.NoError(t, err, "%s over %s", name, network)
			require.Equal(t, webServer, address)
		}
		guest.cannotReach(hiddenNameServer)
	}
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

// publish rewrites what comes to the host's ports, and to the mirrored address.
func publish(t *testing.T) {
	t.Helper()
	const echoes = 7000
	host, tcp := destinationIs(netip.MustParseAddr(hostAddress)), protocolIs(unix.IPPROTO_TCP)
	rewrite(t,
		rule(toAddress(container, echoes), host, tcp, destinationPort(publishedPort)),
		rule(toAddress(evilServer, echoes), host, tcp, destinationPort(relayPort)),
		rule(toAddress(container, echoes), destinationIs(netip.MustParseAddr(mirrored)), tcp))
}

// rewrite has the host change destinations until the test ends.
func rewrite(t *testing.T, rules ...[]expr.Any) {
	t.Helper()
	conn, err := nftables.New()
	require.NoError(t, err)
	table := conn.AddTable(&nftables.Table{Name: "runtime", Family: nftables.TableFamilyIPv4})
	prerouting := conn.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	for _, each := range rules {
		add(conn, prerouting, each)
	}
	require.NoError(t, conn.Flush())
	t.Cleanup(func() {
		conn.DelTable(table)
		require.NoError(t, conn.Flush())
	})
}

func toAddress(address string, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: netip.MustParseAddr(address).AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}
