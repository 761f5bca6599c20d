package network

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

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
