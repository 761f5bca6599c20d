package network

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// Slot is one sandbox's network: a namespace that holds the VM's TAP, and a
// veth pair that joins it to the host. The host reaches each port of the guest at
// Address.
type Slot struct {
	index    int
	user     int
	hostSide netip.Addr
	address  netip.Addr
	resolver netip.Addr
	roots    *x509.CertPool // by which the gateway verifies servers; nil for the system's
	limits   egress.Limits  // apply under every policy
	packets  bool           // see Config.PacketLinks
	// upstreamNetworks are private ranges that a policy's proxy may be in.
	upstreamNetworks []netip.Prefix

	log *slog.Logger

	turn    chan struct{}   // held while the fields below are read or written
	policy  *egress.Policy  // in force, as far as this process knows
	gateway *egress.Gateway // nil where the policy needs none
	files   bool            // volumes are served to the guest
	closed  bool
}

// Namespace is the path of the slot's network namespace.
func (s *Slot) Namespace() string { return filepath.Join(namespaceDirectory, s.namespaceName()) }

// Address is where the host reaches the guest.
func (s *Slot) Address() netip.Addr { return s.address }

// GuestDevice is the VMM's device in the namespace: the TAP, or with Config.PacketLinks the
// device whose frames it reads and writes.
func (s *Slot) GuestDevice() string {
	if s.packets {
		return packetDevice
	}
	return TapDevice
}

func (s *Slot) namespaceName() string { return namespacePrefix + strconv.Itoa(s.index) }

const namespacePrefix = "wrenn-"

// User is the user of the VM that has the slot. Pools of one machine that begin with
// the same user share no slot, and so no user either.
func (s *Slot) User() int { return s.user }

// Device is the host's end of the veth pair: what it receives, the guest has sent.
func (s *Slot) Device() string { return s.hostDevice() }

func (s *Slot) hostDevice() string { return fmt.Sprintf("%s%d", hostDevicePrefix, s.index) }

// hostDevicePrefix starts the name of every veth on the host's side; the host
// firewall matches on it.
const hostDevicePrefix = "wrenn"

// pairPrefixLength makes each veth pair a network of its own two addresses.
const pairPrefixLength = 31

// create makes all parts of the slot, or none.
func (s *Slot) create() (err error) {
	defer func() {
		if err != nil {
			s.closeGateway()
			err = errors.Join(err, s.destroy())
		}
	}()
	if err := inNewNamespace(s.namespaceName(), s.configureGuestSide); err != nil {
		return err
	}
	namespace, err := netns.GetFromName(s.namespaceName())
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", s.namespaceName(), err)
	}
	defer namespace.Close()
	if err := s.createPair(namespace); err != nil {
		return err
	}
	if err := inNamespace(s.namespaceName(), s.configureUplink); err != nil {
		return err
	}
	return s.enforce(namespace, egress.Default())
}

// destroy removes the parts that exist.
func (s *Slot) destroy() error {
	return errors.Join(deleteLink(s.hostDevice()), deleteNamespace(s.namespaceName()))
}

// configureGuestSide runs inside the namespace: the TAP, or the pair in its place, and its
// addresses.
func (s *Slot) configureGuestSide() error {
	for path, value := range map[string]string{
		"net/ipv6/conf/all/disable_ipv6": "1", // guests speak IPv4 only
		"net/ipv4/ip_forward":            "1",
	} {
		if err := writeSysctl(path, value); err != nil {
			return err
		}
	}
	add := addTap
	if s.packets {
		add = addPacketPair
	}
	if err := add(mustParseMAC(GatewayMAC)); err != nil {
		return err
	}
	if err := bringUp(TapDevice, netip.MustParseAddr(GatewayIP), GuestPrefixLength); err != nil {
		return err
	}
	return addNeighbour(TapDevice, guestAddress, guestMAC)
}

func addTap(mac net.HardwareAddr) error {
	tap := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: TapDevice, HardwareAddr: mac},
		Mode:      netlink.TUNTAP_MODE_TAP,
		Flags:     netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_VNET_HDR,
	}
	if err := netlink.LinkAdd(tap); err != nil {
		return fmt.Errorf("make TAP device: %w", err)
	}
	if err := netlink.LinkSetHardwareAddr(tap, mac); err != nil {
		return fmt.Errorf("set TAP's hardware address: %w", err)
	}
	return nil
}

// addPacketPair makes a veth pair in the place of the TAP. The VMM reads and writes the
// frames of its other end, which has no address, forwards nothing and has another hardware
// address than the guest: the kernel drops all that arrives there.
func addPacketPair(mac net.HardwareAddr) error {
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: TapDevice, HardwareAddr: mac}, PeerName: packetDevice, PeerHardwareAddr: packetMAC,
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make the guest's veth pair: %w", err)
	}
	const answerNothing = "8"
	for setting, value := range map[string]string{"forwarding": "0", "arp_ignore": answerNothing} {
		if err := writeSysctl("net/ipv4/conf/"+packetDevice+"/"+setting, value); err != nil {
			return err
		}
	}
	end, err := netlink.LinkByName(packetDevice)
	if err != nil {
		return fmt.Errorf("find %s: %w", packetDevice, err)
	}
	if err := netlink.LinkSetUp(end); err != nil {
		return fmt.Errorf("bring %s up: %w", packetDevice, err)
	}
	return nil
}

// addNeighbour adds a permanent entry: the first packet needs no ARP request, and the
// entry does not count towards the kernel's limit of neighbours, which all namespaces
// share.
func addNeighbour(device string, address netip.Addr, mac net.HardwareAddr) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find %s: %w", device, err)
	}
	err = netlink.NeighSet(&netlink.Neigh{
		LinkIndex:    link.Attrs().Index,
		State:        netlink.NUD_PERMANENT,
		IP:           address.AsSlice(),
		HardwareAddr: mac,
	})
	if err != nil {
		return fmt.Errorf("name the hardware address of %s: %w", address, err)
	}
	return nil
}

// createPair makes the veth pair with one end in the namespace.
func (s *Slot) createPair(namespace netns.NsHandle) error {
	pair := &netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: s.hostDevice(), HardwareAddr: hostSideMAC},
		PeerName:         uplinkDevice,
		PeerHardwareAddr: uplinkMAC,
		PeerNamespace:    netlink.NsFd(int(namespace)),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make veth pair %s: %w", s.hostDevice(), err)
	}
	if err := writeSysctl("net/ipv6/conf/"+s.hostDevice()+"/disable_ipv6", "1"); err != nil {
		return err
	}
	if err := bringUp(s.hostDevice(), s.hostSide, pairPrefixLength); err != nil {
		return err
	}
	return addNeighbour(s.hostDevice(), s.address, uplinkMAC)
}

// configureUplink runs inside the namespace: the veth end and the way out.
func (s *Slot) configureUplink() error {
	if err := bringUp(uplinkDevice, s.address, pairPrefixLength); err != nil {
		return err
	}
	if err := addNeighbour(uplinkDevice, s.hostSide, hostSideMAC); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: s.hostSide.AsSlice()}); err != nil {
		return fmt.Errorf("set the namespace's default route: %w", err)
	}
	return nil
}

func bringUp(device string, address netip.Addr, prefixLength int) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find %s: %w", device, err)
	}
	network := &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(prefixLength, address.BitLen())}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: network}); err != nil {
		return fmt.Errorf("give %s address %s: %w", device, address, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", device, err)
	}
	return nil
}
