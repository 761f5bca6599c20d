package network

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// keepToOwnFrames lets in from the TAP what is sent from the guest's own hardware
// address: IPv4, and ARP that asks for its gateway or answers it. Whoever else the
// guest claims to be would take a place in the table of neighbours, which is one
// for the host and all its sandboxes.
func (f *guestFirewall) keepToOwnFrames() {
	table := f.conn.AddTable(&nftables.Table{Name: guestTable, Family: nftables.TableFamilyNetdev})
	frames := filterChain(table, "frames", nftables.ChainHookIngress, nftables.ChainPolicyDrop)
	frames.Device = TapDevice
	f.conn.AddChain(frames)
	f.conn.FlushChain(frames)
	add(f.conn, frames, rule(accept(), frameSource(guestMAC), frameOf(unix.ETH_P_IP)))
	add(f.conn, frames, rule(accept(), frameSource(guestMAC), frameOf(unix.ETH_P_ARP),
		arpField(arpSenderHardware, guestMAC), arpField(arpSender, guestAddress.AsSlice()), arpField(arpTarget, gatewayAddress.AsSlice())))
}

// Offsets in a packet of ARP for Ethernet and IPv4 (RFC 826).
const (
	arpSenderHardware = 8
	arpSender         = 14
	arpTarget         = 24
)

func arpField(offset uint32, value []byte) match {
	return fieldIs(expr.PayloadBaseNetworkHeader, offset, value)
}

func frameSource(hardware []byte) match {
	const offset = 6 // in an Ethernet header
	return fieldIs(expr.PayloadBaseLLHeader, offset, hardware)
}

// frameOf matches an EtherType.
func frameOf(protocol uint16) match {
	return match{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(protocol >> 8), byte(protocol)}},
	}
}

func fieldIs(base expr.PayloadBase, offset uint32, value []byte) match {
	return match{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: uint32(len(value))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value},
	}
}
