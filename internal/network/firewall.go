package network

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// hostFirewall writes the host's own rules for all slots: no guest opens a
// connection to the host, to what the host publishes for others, or to another
// guest, and packets to the outside get the host's address. Each slot's own firewall
// comes first; these rules are for addresses that only the host knows to be its own.
type hostFirewall struct {
	conn     *nftables.Conn
	table    *nftables.Table
	slots    netip.Prefix
	resolver netip.Addr

	forbidden *nftables.Set
}

func (f *hostFirewall) install(name string) (err error) {
	if f.conn, err = nftables.New(); err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	family := nftables.TableFamilyIPv4
	f.conn.AddTable(&nftables.Table{Name: name, Family: family}) // so that deleting cannot fail
	f.conn.DelTable(&nftables.Table{Name: name, Family: family})
	f.table = f.conn.AddTable(&nftables.Table{Name: name, Family: family})
	f.forbidden = &nftables.Set{ID: 1, Table: f.table, Name: "forbidden", KeyType: nftables.TypeIPAddr, Interval: true}
	if err := f.conn.AddSet(f.forbidden, intervals(egress.Forbidden.Ranges())); err != nil {
		return fmt.Errorf("make set %s: %w", f.forbidden.Name, err)
	}
	f.keepHostClosed()
	f.forward()
	postrouting := f.conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: f.table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	add(f.conn, postrouting, rule(masquerade(), sourceIn(f.slots), toOthers()))
	if err := f.conn.Flush(); err != nil {
		return fmt.Errorf("install the host's firewall: %w", err)
	}
	return nil
}

// keepHostClosed drops packets to the host's addresses before rules of other programs
// rewrite the destination, as those of a container's published port do.
func (f *hostFirewall) keepHostClosed() {
	early := filterChain(f.table, "prerouting", nftables.ChainHookPrerouting, nftables.ChainPolicyAccept)
	early.Priority = nftables.ChainPriorityMangle // before destinations are rewritten
	f.conn.AddChain(early)
	add(f.conn, early, rule(accept(), fromSlots(), answering()))
	add(f.conn, early, rule(drop(), fromSlots(), destinationIsLocal()))
	input := f.conn.AddChain(filterChain(f.table, "input", nftables.ChainHookInput, nftables.ChainPolicyAccept))
	add(f.conn, input, rule(accept(), fromSlots(), answering()))
	add(f.conn, input, rule(drop(), fromSlots()))
}

// forward lets guests reach the internet only, and no other guest, also where a rule of
// another program has rewritten the destination. DNS queries may reach a name server at
// any address: that of a cluster has a virtual address, which is always rewritten.
func (f *hostFirewall) forward() {
	forward := f.conn.AddChain(filterChain(f.table, "forward", nftables.ChainHookForward, nftables.ChainPolicyAccept))
	add(f.conn, forward, rule(drop(), fromSlots(), toSlots()))
	for _, protocol := range datagramsAndStreams {
		add(f.conn, forward, rule(accept(),
			fromSlots(), protocolIs(protocol), openedTo(f.resolver), openedToPort(domainPort)))
	}
	add(f.conn, forward, rule(drop(), fromSlots(), destinationInSet(f.forbidden)))
	add(f.conn, forward, rule(accept(), toSlots(), answering()))
	add(f.conn, forward, rule(drop(), toSlots()))
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
