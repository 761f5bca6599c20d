package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
	"git.omukk.dev/wrenn/sandbox/internal/nfs"
)

const (
	guestTable   = "wrenn"
	egressChain  = "egress"
	refusedChain = "refused"
	domainPort   = 53
	// proxyPort is the gateway's port, to which connections are redirected.
	proxyPort = 10080
	// maxAsks is how many names a guest may ask for in a second, and how many
	// connections of its gateway.
	maxAsks = 200
	// maxMounts is how many connections to its volumes a guest may open in a second.
	maxMounts = 10
	// maxElements keeps a message to the kernel under its 64 KiB.
	maxElements = 1000
)

var (
	guestAddress   = netip.MustParseAddr(GuestIP)
	gatewayAddress = netip.MustParseAddr(GatewayIP)
	guestMAC       = mustParseMAC(GuestMAC)
	// datagramsAndStreams are the transports of DNS.
	datagramsAndStreams = []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP}
)

// guestFirewall writes the rules inside a slot's namespace: the host reaches
// the guest, and the guest reaches what its policy allows, under the slot's
// address. Every packet is checked against the policy, in both directions, those of open
// connections too: a new policy ends the connections that it denies.
type guestFirewall struct {
	conn     *nftables.Conn
	table    *nftables.Table
	policy   *egress.Policy
	hostSide netip.Addr
	resolver netip.Addr
	files    bool // volumes are served

	reachable, forbidden *nftables.Set
}

// apply replaces all rules in one transaction, so that there are rules at any time. With
// recount the count of connections begins at zero: a rule that is written again loses
// its count.
func (f *guestFirewall) apply(namespace netns.NsHandle, recount bool) (err error) {
	if f.conn, err = nftables.New(nftables.WithNetNSFd(int(namespace))); err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	f.table = f.conn.AddTable(&nftables.Table{Name: guestTable, Family: nftables.TableFamilyIPv4})
	if err := f.fillSets(); err != nil {
		return err
	}
	f.keepToOwnFrames()
	f.refusal()
	f.guard()
	if recount {
		f.limitConnections()
	}
	f.translate()
	f.keepToPolicy()
	f.keepNamespaceClosed()
	f.shape()
	if err := f.conn.Flush(); err != nil {
		return fmt.Errorf("install the guest's firewall: %w", err)
	}
	return nil
}

func (f *guestFirewall) fillSets() error {
	// Set IDs tell the sets of one transaction apart.
	f.reachable = &nftables.Set{ID: 1, Table: f.table, Name: "reachable", KeyType: nftables.TypeIPAddr, Interval: true}
	f.forbidden = &nftables.Set{ID: 2, Table: f.table, Name: "forbidden", KeyType: nftables.TypeIPAddr, Interval: true}
	for set, ranges := range map[*nftables.Set][]nftables.SetElement{
		f.reachable: intervals(f.policy.Reachable().Ranges()), f.forbidden: intervals(egress.Forbidden.Ranges()),
	} {
		if err := f.conn.AddSet(set, nil); err != nil {
			return fmt.Errorf("make set %s: %w", set.Name, err)
		}
		f.conn.FlushSet(set)
		for elements := range slices.Chunk(ranges, maxElements) {
			if err := f.conn.SetAddElements(set, elements); err != nil {
				return fmt.Errorf("fill set %s: %w", set.Name, err)
			}
		}
	}
	return nil
}

// chain makes a chain, or empties it, within the transaction.
func (f *guestFirewall) chain(chain *nftables.Chain) *nftables.Chain {
	chain.Table = f.table
	f.conn.AddChain(chain)
	f.conn.FlushChain(chain)
	return chain
}

// early makes a chain between connection tracking and address translation.
func (f *guestFirewall) early(name string, hook *nftables.ChainHook) *nftables.Chain {
	chain := filterChain(f.table, name, hook, nftables.ChainPolicyAccept)
	chain.Priority = nftables.ChainPriorityMangle
	return f.chain(chain)
}

// guard drops packets that no guest needs to send.
func (f *guestFirewall) guard() {
	guard := f.early("guard", nftables.ChainHookPrerouting)
	add(f.conn, guard, rule(drop(), from(TapDevice), sourceIsNot(guestAddress)))
	add(f.conn, guard, rule(drop(), from(TapDevice), stateIs(expr.CtStateBitINVALID)))
}

// limitConnections limits the connections that the guest opens, DNS queries included,
// because the host tracks each. Connections to its volumes have a limit of their own.
func (f *guestFirewall) limitConnections() {
	limit := f.early("limit", nftables.ChainHookPrerouting)
	add(f.conn, limit, rule(accept(),
		from(TapDevice), destinationIs(gatewayAddress), protocolIs(unix.IPPROTO_TCP), destinationPort(nfs.Port)))
	if count := f.policy.Limits().Connections; count > 0 {
		add(f.conn, limit, rule(jumpTo(refusedChain), from(TapDevice), stateIs(expr.CtStateBitNEW), moreThan(count)))
	}
}

func (f *guestFirewall) translate() {
	prerouting := f.chain(&nftables.Chain{
		Name: "prerouting", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	// Only the host opens connections to the guest: late packets of a connection that
	// was cut must not open a new one.
	add(f.conn, prerouting, rule(forwardTo(guestAddress), from(uplinkDevice), sourceIs(f.hostSide)))
	f.redirect(prerouting)
	postrouting := f.chain(&nftables.Chain{
		Name: "postrouting", Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	add(f.conn, postrouting, rule(masquerade(), to(uplinkDevice)))
}

// redirect sends connections to the gateway: those to web servers where a rule may
// change a request, those whose address is not allowed but whose name may be, and all
// where the policy has a proxy.
func (f *guestFirewall) redirect(prerouting *nftables.Chain) {
	outward := append(from(TapDevice), destinationNotInSet(f.forbidden)...)
	if f.policy.Transforms() {
		for _, port := range []uint16{80, 443} {
			add(f.conn, prerouting, rule(redirectTo(proxyPort), outward, protocolIs(unix.IPPROTO_TCP), destinationPort(port)))
		}
	}
	if f.policy.AllowsDomains() || f.policy.Tunnels() {
		add(f.conn, prerouting, rule(redirectTo(proxyPort),
			outward, destinationNotInSet(f.reachable), protocolIs(unix.IPPROTO_TCP)))
	}
}

// keepToPolicy accepts packets between the guest and the outside that the policy allows.
func (f *guestFirewall) keepToPolicy() {
	forward := f.chain(filterChain(f.table, "forward", nftables.ChainHookForward, nftables.ChainPolicyDrop))
	outgoing := f.chain(&nftables.Chain{Name: egressChain})
	add(f.conn, forward, rule(accept(), protocolIs(unix.IPPROTO_ICMP), stateIs(expr.CtStateBitRELATED)))
	add(f.conn, forward, rule(accept(), from(uplinkDevice), to(TapDevice), sourceIs(f.hostSide)))
	add(f.conn, forward, rule(accept(), from(uplinkDevice), to(TapDevice), replying(), sourceInSet(f.reachable)))
	add(f.conn, forward, rule(jumpTo(egressChain), from(TapDevice)))

	add(f.conn, outgoing, rule(accept(), destinationIs(f.hostSide), replying(), answering()))
	add(f.conn, outgoing, rule(accept(), to(uplinkDevice), destinationInSet(f.reachable)))
	add(f.conn, outgoing, rule(jumpTo(refusedChain)))
}

// refusal makes the chain that answers what is refused, so that code in a sandbox fails
// at once. TCP gets resets, because the kernel limits the ICMP errors that it sends.
func (f *guestFirewall) refusal() {
	refused := f.chain(&nftables.Chain{Name: refusedChain})
	add(f.conn, refused, rule(reset(), protocolIs(unix.IPPROTO_TCP)))
	add(f.conn, refused, rule(refuse()))
}

// keepNamespaceClosed keeps the guest from the namespace's own kernel, ping and
// the gateway apart, and the gateway from what no guest may reach. The gateway is
// root's. A VMM is not root, so a guest that has taken it over reaches nothing.
func (f *guestFirewall) keepNamespaceClosed() {
	input := f.chain(filterChain(f.table, "input", nftables.ChainHookInput, nftables.ChainPolicyAccept))
	add(f.conn, input, rule(accept(), from(TapDevice), replying(), answering()))
	add(f.conn, input, rule(accept(), from(TapDevice), protocolIs(unix.IPPROTO_ICMP)))
	if f.files {
		add(f.conn, input, rule(drop(),
			from(TapDevice), protocolIs(unix.IPPROTO_TCP), destinationPort(nfs.Port), stateIs(expr.CtStateBitNEW), faster(maxMounts)))
		add(f.conn, input, rule(accept(),
			from(TapDevice), destinationIs(gatewayAddress), protocolIs(unix.IPPROTO_TCP), destinationPort(nfs.Port)))
	}
	if f.policy.NeedsGateway() {
		f.openGateway(input)
	}
	add(f.conn, input, rule(jumpTo(refusedChain), from(TapDevice)))

	output := f.chain(filterChain(f.table, "output", nftables.ChainHookOutput, nftables.ChainPolicyAccept))
	add(f.conn, output, rule(accept(), to(uplinkDevice), replying()))
	add(f.conn, output, rule(drop(), to(uplinkDevice), notRoots()))
	for _, protocol := range datagramsAndStreams {
		add(f.conn, output, rule(accept(),
			to(uplinkDevice), destinationIs(f.resolver), protocolIs(protocol), destinationPort(domainPort)))
	}
	add(f.conn, output, rule(drop(), to(uplinkDevice), stateIs(expr.CtStateBitNEW), destinationInSet(f.forbidden)))
}

// openGateway lets the guest call the gateway at a limited rate, because the gateway's
// work is the host's.
func (f *guestFirewall) openGateway(input *nftables.Chain) {
	f.slowDown(input, from(TapDevice))
	for _, protocol := range datagramsAndStreams {
		add(f.conn, input, rule(accept(),
			from(TapDevice), destinationIs(gatewayAddress), protocolIs(protocol), destinationPort(domainPort)))
	}
	if f.policy.Inspects() {
		add(f.conn, input, rule(accept(),
			from(TapDevice), protocolIs(unix.IPPROTO_TCP), destinationPort(proxyPort), redirected()))
	}
}

// slowDown drops datagrams and new connections over a rate.
func (f *guestFirewall) slowDown(chain *nftables.Chain, which match) {
	add(f.conn, chain, rule(drop(), which, protocolIs(unix.IPPROTO_UDP), faster(maxAsks)))
	add(f.conn, chain, rule(drop(), which, protocolIs(unix.IPPROTO_TCP), stateIs(expr.CtStateBitNEW), faster(maxAsks)))
}

// shape puts packets that are not between host and guest into the limited class.
func (f *guestFirewall) shape() {
	shape := f.early("shape", nftables.ChainHookPostrouting)
	limits := f.policy.Limits()
	if limits.UploadBytesPerSecond > 0 {
		add(f.conn, shape, rule(inClass(limitedClass), to(uplinkDevice), destinationIsNot(f.hostSide)))
	}
	if limits.DownloadBytesPerSecond > 0 {
		add(f.conn, shape, rule(inClass(limitedClass), to(TapDevice), sourceIsNot(f.hostSide)))
	}
}
