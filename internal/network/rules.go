package network

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"go4.org/netipx"
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

// reset answers as a closed TCP port does; it must come after protocolIs.
func reset() []expr.Any { return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}} }

// jumpTo continues in another chain, and then returns.
func jumpTo(chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}}
}

// redirectTo redirects a connection to a port of the namespace itself.
func redirectTo(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Redir{RegisterProtoMin: 1},
	}
}

// inClass puts a packet into a class of the device's queue.
func inClass(class uint32) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(class)},
		&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: 1},
	}
}

// refuse answers with ICMP "administratively prohibited".
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

// fromSlots and toSlots match the host's ends of all slots, by how their names begin.
func fromSlots() match { return deviceIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, hostDevicePrefix) }

func toSlots() match { return deviceIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, hostDevicePrefix) }

func toOthers() match { return deviceIs(expr.MetaKeyOIFNAME, expr.CmpOpNeq, hostDevicePrefix) }

func deviceIs(key expr.MetaKey, op expr.CmpOp, name string) match {
	return match{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: []byte(name)},
	}
}

// answering matches packets of connections that were accepted before.
func answering() match { return stateIs(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED) }

// stateIs matches packets whose connection is in one of the states.
func stateIs(bits uint32) match { return connectionHas(expr.CtKeySTATE, bits) }

// redirected matches packets of connections whose destination was changed.
func redirected() match {
	const destinationChanged = 1 << 5 // IPS_DST_NAT
	return connectionHas(expr.CtKeySTATUS, destinationChanged)
}

func connectionHas(key expr.CtKey, bits uint32) match {
	return match{
		&expr.Ct{Register: 1, Key: key},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// notRoots matches packets from sockets of users other than root. The kernel's own
// packets have no socket and do not match.
func notRoots() match {
	return match{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// replying matches packets from the end that did not open the connection.
func replying() match {
	return match{
		&expr.Ct{Register: 1, Key: expr.CtKeyDIRECTION},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1}}, // IP_CT_DIR_REPLY
	}
}

// openedTo and openedToPort match packets by their connection's original destination,
// before it was rewritten; the port must come after protocolIs.
func openedTo(address netip.Addr) match { return openedWith(expr.CtKeyDST, address.AsSlice()) }

func openedToPort(port uint16) match {
	return openedWith(expr.CtKeyPROTODST, binaryutil.BigEndian.PutUint16(port))
}

func openedWith(key expr.CtKey, value []byte) match {
	const original = 0 // IP_CT_DIR_ORIGINAL
	return match{
		&expr.Ct{Register: 1, Key: key, Direction: original},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value},
	}
}

// moreThan matches the packet that opens one connection more than count. It must come
// after a match for new connections, which it counts.
func moreThan(count uint32) match {
	return match{&expr.Connlimit{Count: count, Flags: expr.NFT_CONNLIMIT_F_INV}}
}

// faster matches packets over a rate a second, after a burst of twice that.
func faster(perSecond uint32) match {
	return match{&expr.Limit{
		Type: expr.LimitTypePkts, Rate: uint64(perSecond), Unit: expr.LimitTimeSecond, Burst: 2 * perSecond, Over: true,
	}}
}

// Offsets in the IPv4 header.
const (
	sourceOffset      = 12
	destinationOffset = 16
)

func sourceIn(prefix netip.Prefix) match {
	mask := make([]byte, 4)
	binary.BigEndian.PutUint32(mask, ^uint32(0)<<(32-prefix.Bits()))
	return match{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceOffset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: prefix.Masked().Addr().AsSlice()},
	}
}

func sourceIs(address netip.Addr) match { return addressIs(sourceOffset, expr.CmpOpEq, address) }

func sourceIsNot(address netip.Addr) match { return addressIs(sourceOffset, expr.CmpOpNeq, address) }

func destinationIs(address netip.Addr) match {
	return addressIs(destinationOffset, expr.CmpOpEq, address)
}

func destinationIsNot(address netip.Addr) match {
	return addressIs(destinationOffset, expr.CmpOpNeq, address)
}

func addressIs(offset uint32, op expr.CmpOp, address netip.Addr) match {
	return match{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Cmp{Op: op, Register: 1, Data: address.AsSlice()},
	}
}

// destinationIsLocal matches packets to any address of the host.
func destinationIsLocal() match {
	return match{
		&expr.Fib{Register: 1, ResultADDRTYPE: true, FlagDADDR: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

func sourceInSet(set *nftables.Set) match { return addressInSet(sourceOffset, set, false) }

func destinationInSet(set *nftables.Set) match { return addressInSet(destinationOffset, set, false) }

func destinationNotInSet(set *nftables.Set) match { return addressInSet(destinationOffset, set, true) }

func addressInSet(offset uint32, set *nftables.Set, invert bool) match {
	return match{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID, Invert: invert},
	}
}

// protocolIs matches the transport protocol, an unix.IPPROTO_ number.
func protocolIs(number byte) match {
	return match{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

// destinationPort matches a TCP or UDP port; it must come after protocolIs.
func destinationPort(port uint16) match {
	const offset = 2
	return match{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	}
}

// intervals turns ranges that do not overlap into elements of an interval set.
func intervals(ranges []netipx.IPRange) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, each := range ranges {
		elements = append(elements, nftables.SetElement{Key: each.From().AsSlice()})
		if end := each.To().Next(); end.IsValid() { // else the range ends with the last address
			elements = append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return elements
}
