package network

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Neither the host's own networks nor any other sandbox's are a guest's
// business: these destinations are refused whatever else is allowed.
// Source: the IANA IPv4 special-purpose address registry.
var forbiddenDestinations = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("224.0.0.0/3"),
}

const (
	guestTable  = "wrenn"
	egressChain = "egress"
	domainPort  = 53
)

// installGuestFirewall sets the rules inside a slot's namespace: what the host
// sends goes to the guest, what the guest sends leaves under the slot's
// address, and only towards the public internet.
func installGuestFirewall(namespace netns.NsHandle, resolver netip.Addr) error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(namespace)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Name: guestTable, Family: nftables.TableFamilyIPv4})
	addGuestTranslation(conn, table, resolver)
	addGuestInput(conn, table)
	if err := addGuestForwarding(conn, table, resolver); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("install the guest's firewall: %w", err)
	}
	return nil
}

func addGuestTranslation(conn *nftables.Conn, table *nftables.Table, resolver netip.Addr) {
	gateway := netip.PrefixFrom(netip.MustParseAddr(GatewayIP), 32)
	prerouting := conn.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	add(conn, prerouting, rule(forwardTo(netip.MustParseAddr(GuestIP)), from(uplinkDevice)))
	for _, protocol := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		add(conn, prerouting, rule(forwardTo(resolver),
			from(TapDevice), destinationIn(gateway), protocolIs(protocol), destinationPort(domainPort)))
	}
	postrouting := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	add(conn, postrouting, rule(masquerade(), to(uplinkDevice)))
}

// addGuestInput keeps the guest from the namespace's own kernel, ping apart.
func addGuestInput(conn *nftables.Conn, table *nftables.Table) {
	input := conn.AddChain(filterChain(table, "input", nftables.ChainHookInput, nftables.ChainPolicyAccept))
	add(conn, input, rule(accept(), from(TapDevice), answering()))
	add(conn, input, rule(accept(), from(TapDevice), protocolIs(unix.IPPROTO_ICMP)))
	add(conn, input, rule(refuse(), from(TapDevice)))
}

func addGuestForwarding(conn *nftables.Conn, table *nftables.Table, resolver netip.Addr) error {
	forbidden := &nftables.Set{Table: table, Name: "forbidden", KeyType: nftables.TypeIPAddr, Interval: true}
	if err := conn.AddSet(forbidden, intervals(forbiddenDestinations)); err != nil {
		return fmt.Errorf("list forbidden destinations: %w", err)
	}
	forward := conn.AddChain(filterChain(table, "forward", nftables.ChainHookForward, nftables.ChainPolicyDrop))
	egress := conn.AddChain(&nftables.Chain{Name: egressChain, Table: table})
	add(conn, forward, rule(accept(), answering()))
	add(conn, forward, rule(accept(), from(uplinkDevice), to(TapDevice)))
	add(conn, forward, rule([]expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: egressChain}}, from(TapDevice)))
	add(conn, forward, rule(refuse()))

	for _, protocol := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		add(conn, egress, rule(accept(),
			destinationIn(netip.PrefixFrom(resolver, 32)), protocolIs(protocol), destinationPort(domainPort)))
	}
	add(conn, egress, rule(refuse(), destinationInSet(forbidden)))
	add(conn, egress, rule(accept(), to(uplinkDevice)))
	return nil
}

// denyEgress empties the chain that lets anything out, in one transaction.
func denyEgress(namespace netns.NsHandle) error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(namespace)))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := &nftables.Table{Name: guestTable, Family: nftables.TableFamilyIPv4}
	conn.FlushChain(&nftables.Chain{Name: egressChain, Table: table})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("deny the guest the internet: %w", err)
	}
	return nil
}

// installHostFirewall sets the host's own rules for all slots: no guest opens a
// connection to the host or to another guest, and what leaves the host leaves
// under the host's address.
func installHostFirewall(name string, slots netip.Prefix) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	family := nftables.TableFamilyIPv4
	conn.AddTable(&nftables.Table{Name: name, Family: family}) // so that deleting cannot fail
	conn.DelTable(&nftables.Table{Name: name, Family: family})
	table := conn.AddTable(&nftables.Table{Name: name, Family: family})

	input := conn.AddChain(filterChain(table, "input", nftables.ChainHookInput, nftables.ChainPolicyAccept))
	add(conn, input, rule(accept(), fromAny(hostDevicePrefix), answering()))
	add(conn, input, rule(drop(), fromAny(hostDevicePrefix)))
	forward := conn.AddChain(filterChain(table, "forward", nftables.ChainHookForward, nftables.ChainPolicyAccept))
	add(conn, forward, rule(drop(), fromAny(hostDevicePrefix), toAny(hostDevicePrefix)))
	add(conn, forward, rule(accept(), toAny(hostDevicePrefix), answering()))
	add(conn, forward, rule(drop(), toAny(hostDevicePrefix)))
	postrouting := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	add(conn, postrouting, rule(masquerade(), sourceIn(slots), toNone(hostDevicePrefix)))
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("install the host's firewall: %w", err)
	}
	return nil
}

func removeHostFirewall(name string) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Name: name, Family: nftables.TableFamilyIPv4})
	conn.DelTable(table)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("remove the host's firewall: %w", err)
	}
	return nil
}

func filterChain(table *nftables.Table, name string, hook *nftables.ChainHook, policy nftables.ChainPolicy) *nftables.Chain {
	return &nftables.Chain{
		Name: name, Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &policy,
	}
}

func add(conn *nftables.Conn, chain *nftables.Chain, expressions []expr.Any) {
	conn.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: expressions})
}
