package network

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// match is one condition of a firewall rule, in nftables' expressions.
type match []expr.Any

// rule puts conditions and a verdict together.
func rule(verdict []expr.Any, conditions ...match) []expr.Any {
	var expressions []expr.Any
	for _, condition := range conditions {
		expressions = append(expressions, condition...)
	}
	return append(expressions, verdict...)
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

// refuse answers with ICMP "administratively prohibited", so that code in a
// sandbox fails at once instead of waiting for a timeout.
func refuse() []expr.Any {
	const administrativelyProhibited = 13 // RFC 1812, section 5.2.7.1
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: administrativelyProhibited}}
}

func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }

// forwardTo rewrites the destination address and leaves the port.
func forwardTo(address netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: address.AsSlice()},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	}
}

// from matches the device a packet came in by.
func from(device string) match { return deviceIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, device+"\x00") }

// to matches the device a packet leaves by.
func to(device string) match { return deviceIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, device+"\x00") }

// fromAny and toAny match devices by how their names begin.
func fromAny(prefix string) match { return deviceIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, prefix) }

func toAny(prefix string) match { return deviceIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, prefix) }

func toNone(prefix string) match { return deviceIs(expr.MetaKeyOIFNAME, expr.CmpOpNeq, prefix) }

func deviceIs(key expr.MetaKey, op expr.CmpOp, name string) match {
	return match{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: []byte(name)},
	}
}

// answering matches packets of connections that were let through before.
func answering() match {
	states := expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED
	return match{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(states), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// Offsets in the IPv4 header.
const (
	sourceOffset      = 12
	destinationOffset = 16
)

func sourceIn(prefix netip.Prefix) match { return addressIn(sourceOffset, prefix) }

func destinationIn(prefix netip.Prefix) match { return addressIn(destinationOffset, prefix) }

func addressIn(offset uint32, prefix netip.Prefix) match {
	mask := make([]byte, 4)
	binary.BigEndian.PutUint32(mask, ^uint32(0)<<(32-prefix.Bits()))
	return match{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	}
}

func destinationInSet(set *nftables.Set) match {
	return match{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: destinationOffset, Len: 4},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
	}
}

// protocolIs matches the transport protocol, an unix.IPPROTO_ number.
func protocolIs(number byte) match {
	return match{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

// destinationPort matches a TCP or UDP port; it belongs behind protocolIs.
func destinationPort(port uint16) match {
	return match{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

// intervals turns prefixes that do not overlap into elements of an interval set.
func intervals(prefixes []netip.Prefix) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, prefix := range prefixes {
		first := prefix.Masked().Addr().As4()
		end := binary.BigEndian.Uint32(first[:]) + 1<<(32-prefix.Bits()) // wraps to 0 at the top
		if end == 0 {
			elements = append(elements, nftables.SetElement{Key: first[:]})
			continue
		}
		elements = append(elements,
			nftables.SetElement{Key: first[:]},
			nftables.SetElement{Key: binary.BigEndian.AppendUint32(nil, end), IntervalEnd: true})
	}
	return elements
}
