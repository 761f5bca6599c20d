package network

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// keepToOwnFrames accepts from the TAP what has the guest's hardware address as its
// source: IPv4, and ARP that asks for the gateway or answers it. Frames with other
// sources would fill the kernel's table of neighbours, which the host shares with all
// its sandboxes.
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
