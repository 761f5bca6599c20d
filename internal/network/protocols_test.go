package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// experimental is an IP protocol for experiments (RFC 3692).
const experimental = 253

// TestApply_DecidesAboutEveryProtocol sends the same to a server that is allowed and
// to one that is not, from the guest's first packet on.
func TestApply_DecidesAboutEveryProtocol(t *testing.T) {
	w, _, guest := newPlace(t)
	arrived := w.watch(t)
	guest.apply(egress.Spec{DenyOut: []string{evilServer}})
	packets := map[int][]byte{
		unix.IPPROTO_ICMP: echoRequest(), unix.IPPROTO_UDP: datagram(), unix.IPPROTO_GRE: {0, 0, 8, 0, 0, 0, 0, 0},
		unix.IPPROTO_SCTP: association(), experimental: []byte("anything"),
	}
	for protocol, packet := range packets {
		guest.sendRaw(protocol, evilServer, packet)
		guest.sendRaw(protocol, webServer, packet)
	}
	for protocol := range packets {
		require.Eventually(t, func() bool { return arrived(protocol, webServer) }, patience, time.Millisecond, "protocol %d", protocol)
		require.False(t, arrived(protocol, evilServer), "protocol %d", protocol)
	}
	guest.apply(egress.Spec{DenyInternet: true, AllowOut: []string{"good.example"}})
	for protocol, packet := range packets {
		guest.sendRaw(protocol, otherServer, packet)
	}
	guest.awaitRead()
	guest.apply(egress.Spec{})
	guest.sendRaw(unix.IPPROTO_ICMP, evilServer, echoRequest())
	require.Eventually(t, func() bool { return arrived(unix.IPPROTO_ICMP, evilServer) }, patience, time.Millisecond)
	for protocol := range packets {
		require.False(t, arrived(protocol, otherServer), "a name allows connections that tell it, and nothing else: %d", protocol)
	}
}

// TestSlot_LetsNoIPv6Out has a guest send what it could reach, were there IPv6.
func TestSlot_LetsNoIPv6Out(t *testing.T) {
	_, _, guest := newPlace(t)
	entered := watchDevice(t, "", guest.slot.hostDevice(), unix.ETH_P_IPV6)
	ours := netip.MustParseAddr("fd00::2")
	// The slot's kernel would route it, if it were asked.
	require.NoError(t, inNamespace(guest.slot.namespaceName(), func() error {
		for _, setting := range []string{"all/disable_ipv6", TapDevice + "/disable_ipv6", uplinkDevice + "/disable_ipv6"} {
			if err := writeSysctl("net/ipv6/conf/"+setting, "0"); err != nil {
				return err
			}
		}
		if err := writeSysctl("net/ipv6/conf/all/forwarding", "1"); err != nil {
			return err
		}
		uplink, err := netlink.LinkByName(uplinkDevice)
		if err != nil {
			return err
		}
		next := net.ParseIP("fe80::99")
		if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: uplink.Attrs().Index, State: netlink.NUD_PERMANENT, IP: next, HardwareAddr: hostSideMAC}); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: uplink.Attrs().Index, Dst: &net.IPNet{IP: net.ParseIP("2001:db8::"), Mask: net.CIDRMask(32, 128)}, Gw: next})
	}))
	gateway, err := net.ParseMAC(GatewayMAC)
	require.NoError(t, err)
	frame := slices.Concat(gateway, guestMAC, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, unix.IPPROTO_UDP, 64},
		ours.AsSlice(), netip.MustParseAddr("2001:db8::1").AsSlice(), datagram())
	guest.awaitRead(frame)
	require.False(t, entered(func(packet []byte) bool { return len(packet) > 24 && netip.AddrFrom16([16]byte(packet[8:24])) == ours }))
}

func TestApply_LimitsDatagramsLikeConnections(t *testing.T) {
	w, _, guest := newPlace(t)
	guest.apply(egress.Spec{Limits: egress.Limits{Connections: 3}})
	for number := range 6 {
		conn, err := guest.dial(t.Context(), "udp4", net.JoinHostPort(webServer, echoPort))
		require.NoError(t, err)
		defer conn.Close()
		_, _ = fmt.Fprint(conn, number) // fails where it was refused before it returns
	}
	guest.awaitRead()
	guest.apply(egress.Spec{})
	guest.say(GuestIP, "after all")
	require.Eventually(t, func() bool { return w.hasHeard("after all") }, patience, time.Millisecond)
	for number := range 6 {
		require.Equal(t, number < 3, w.hasHeard(fmt.Sprint(number)), number)
	}
}

// sendRaw sends a packet of any protocol.
func (g *guest) sendRaw(protocol int, host string, packet []byte) {
	g.t.Helper()
	require.NoError(g.t, inNamespace(g.namespace, func() error {
		conn, err := net.Dial(fmt.Sprintf("ip4:%d", protocol), host)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write(packet)
		return err
	}))
}

func echoRequest() []byte {
	packet := []byte{8, 0, 0, 0, 0, 7, 0, 1}
	binary.BigEndian.PutUint16(packet[2:], ^uint16(8<<8+7+1))
	return packet
}

// datagram is an UDP header without a checksum and with nothing behind it.
func datagram() []byte { return []byte{0x30, 0x39, 0x1b, 0x58, 0, 8, 0, 0} }

// association is SCTP's first packet (RFC 9260, sections 3.1 and 3.3.2).
func association() []byte {
	packet := []byte{0x30, 0x39, 0x1b, 0x58, 0, 0, 0, 0, 0, 0, 0, 0}
	packet = append(packet, 1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1)
	binary.LittleEndian.PutUint32(packet[8:], crc32.Checksum(packet, crc32.MakeTable(crc32.Castagnoli)))
	return packet
}

// watch tells what has come to the world, by protocol and destination.
func (w *world) watch(t *testing.T) (arrived func(protocol int, host string) bool) {
	t.Helper()
	entered := watchDevice(t, worldNamespace, "host", unix.ETH_P_IP)
	return func(protocol int, host string) bool {
		return entered(func(packet []byte) bool {
			return len(packet) >= 20 && int(packet[9]) == protocol && netip.AddrFrom4([4]byte(packet[16:20])).String() == host
		})
	}
}

// watchDevice keeps the packets that a device gets, without their frames. "" is the host's.
func watchDevice(t *testing.T, namespace, device string, protocol uint16) (seen func(func([]byte) bool) bool) {
	t.Helper()
	var socket *os.File
	listen := func() (err error) {
		socket, err = listenPackets(device, protocol)
		return err
	}
	if namespace == "" {
		require.NoError(t, listen())
	} else {
		require.NoError(t, inNamespace(namespace, listen))
	}
	var mutex sync.Mutex
	var packets [][]byte
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			packet := make([]byte, 2048)
			count, err := socket.Read(packet)
			if err != nil {
				return
			}
			mutex.Lock()
			packets = append(packets, packet[:count])
			mutex.Unlock()
		}
	})
	t.Cleanup(func() {
		require.NoError(t, socket.Close())
		watching.Wait()
	})
	return func(match func([]byte) bool) bool {
		mutex.Lock()
		defer mutex.Unlock()
		return slices.ContainsFunc(packets, match)
	}
}

func listenPackets(device string, protocol uint16) (*os.File, error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return nil, err
	}
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	protocol = binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	file := os.NewFile(uintptr(socket), device)
	if err := unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index}); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
