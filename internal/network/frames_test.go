package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// arp is a frame that says: sender, at hardware, asks for target.
func arp(hardware net.HardwareAddr, sender, target netip.Addr) []byte {
	const request, length = 1, 60 // the least that Ethernet sends
	broadcast := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame := append(append(broadcast, hardware...), 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, request)
	frame = append(append(frame, hardware...), sender.AsSlice()...)
	frame = append(append(frame, make([]byte, 6)...), target.AsSlice()...)
	return append(frame, make([]byte, length-len(frame))...)
}

// frames sends frames from the guest's device as they are. It returns a function that
// waits for the answer by ARP that an address has.
func (g *guest) frames(frames ...[]byte) (heard func(target netip.Addr, within time.Duration) bool) {
	g.t.Helper()
	var socket int
	require.NoError(g.t, inNamespace(g.namespace, func() (err error) {
		protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
		if socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol)); err != nil {
			return err
		}
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		to := &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index}
		for _, frame := range frames {
			if err := unix.Sendto(socket, frame, 0, to); err != nil {
				return err
			}
		}
		return nil
	}))
	g.t.Cleanup(func() { require.NoError(g.t, unix.Close(socket)) })
	return func(target netip.Addr, within time.Duration) bool {
		deadline := time.Now().Add(within)
		require.NoError(g.t, unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}))
		for time.Now().Before(deadline) {
			frame := make([]byte, 100)
			count, _, err := unix.Recvfrom(socket, frame, 0)
			if err == nil && count >= 42 && frame[21] == 2 && netip.AddrFrom4([4]byte(frame[28:32])) == target {
				return true
			}
		}
		return false
	}
}

// awaitRead sends frames and returns when the slot has read them, and all before. The
// kernel drops what is sent by a link that came up a moment ago, so it first asks for
// the gateway until that answers.
func (g *guest) awaitRead(frames ...[]byte) {
	g.t.Helper()
	question := arp(guestMAC, guestAddress, gatewayAddress)
	deadline := time.Now().Add(patience)
	for !g.frames(question)(gatewayAddress, patience/50) {
		require.True(g.t, time.Now().Before(deadline), "the gateway answers")
	}
	heard := g.frames(append(frames, question)...)
	require.True(g.t, heard(gatewayAddress, patience), "the gateway answers")
}

// TestSlot_LearnsNoNeighboursFromTheGuest has a guest ask for its gateway in the
// name of many others, and under other hardware addresses.
func TestSlot_LearnsNoNeighboursFromTheGuest(t *testing.T) {
	_, _, guest := newPlace(t)
	other := mustParseMAC("02:00:00:00:00:07")
	claims := [][]byte{
		arp(other, guestAddress, gatewayAddress),
		arp(guestMAC, gatewayAddress, gatewayAddress),
		arp(guestMAC, guest.slot.hostSide, guest.slot.Address()),
	}
	for number := range 200 {
		claims = append(claims, arp(guestMAC, netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", number)), gatewayAddress))
	}
	guest.awaitRead(claims...)
	hardware := map[string]string{}
	require.NoError(t, inNamespace(guest.slot.namespaceName(), func() error {
		known, err := netlink.NeighList(0, netlink.FAMILY_V4)
		for _, neighbour := range known {
			hardware[neighbour.IP.String()] = neighbour.HardwareAddr.String()
		}
		return err
	}))
	require.Equal(t, map[string]string{GuestIP: GuestMAC, guest.slot.hostSide.String(): hostSideMAC.String()}, hardware)
	guest.reaches(webServer)
}

func TestSlot_TakesNoRoomAmongTheHostsNeighbours(t *testing.T) {
	_, _, guest := newPlace(t)
	serveEcho(t, guest.namespace)
	requireHostReaches(t, guest.slot.Address().String())
	link, err := netlink.LinkByName(guest.slot.hostDevice())
	require.NoError(t, err)
	known, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
	require.NoError(t, err)
	require.Len(t, known, 1)
	require.Equal(t, guest.slot.Address().String(), known[0].IP.String())
	require.Equal(t, netlink.NUD_PERMANENT, known[0].State)
}
