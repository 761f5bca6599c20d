package gvisor

import (
	"errors"
	"net"
	"net/netip"

	"git.omukk.dev/wrenn/sandbox/internal/network"
)

// link is the guest's network device, the same in every guest. Its kernel does not set it
// up itself.
type link struct {
	address    netip.Prefix
	gateway    netip.Addr
	gatewayMAC net.HardwareAddr
}

func guestLink() (link, error) {
	address, addressErr := netip.ParseAddr(network.GuestIP)
	gateway, gatewayErr := netip.ParseAddr(network.GatewayIP)
	mac, macErr := net.ParseMAC(network.GatewayMAC)
	return link{netip.PrefixFrom(address, network.GuestPrefixLength), gateway, mac}, errors.Join(addressErr, gatewayErr, macErr)
}

// guestDevice is the name of the device in the guest.
const guestDevice = "eth0"

// The types below are those of runsc/boot/network.go in gVisor, as far as they are used.

type networkArguments struct {
	LoopbackLinks    []loopbackLink
	FDBasedLinks     []frameLink
	Defaultv4Gateway defaultRoute
	// AllowConnectedOnSave lets a guest be saved while it has connections.
	AllowConnectedOnSave bool
	IsRestore            bool
}

type loopbackLink struct {
	Name      string
	Addresses []addressWithPrefix
	Routes    []route
}

type frameLink struct {
	Name                 string
	MTU                  int
	Addresses            []addressWithPrefix
	Routes               []route
	LinkAddress          net.HardwareAddr
	Neighbors            []neighbour
	NumChannels          int
	ProcessorsPerChannel int
	GSOMaxSize           uint32
	TXChecksumOffload    bool
	RXChecksumOffload    bool
}

type addressWithPrefix struct {
	Address   net.IP
	PrefixLen int
}

type route struct {
	Destination net.IPNet
	Gateway     net.IP
	MTU         uint32
}

type defaultRoute struct {
	Route route
	Name  string
}

type neighbour struct {
	IP           net.IP
	HardwareAddr net.HardwareAddr
}

// arguments describe loopback and the link, whose frames go through one descriptor.
func (l link) arguments(mac net.HardwareAddr, of packetLink, restored bool) networkArguments {
	loopback := netip.MustParsePrefix("127.0.0.1/8")
	return networkArguments{
		LoopbackLinks: []loopbackLink{{
			Name: "lo", Addresses: []addressWithPrefix{addressOf(loopback)}, Routes: []route{routeTo(loopback)},
		}},
		FDBasedLinks: []frameLink{{
			Name: guestDevice, MTU: of.mtu, Addresses: []addressWithPrefix{addressOf(l.address)}, Routes: []route{routeTo(l.address)},
			LinkAddress: mac, Neighbors: []neighbour{{IP: l.gateway.AsSlice(), HardwareAddr: l.gatewayMAC}}, NumChannels: 1,
			GSOMaxSize: of.gsoMaxSize, RXChecksumOffload: true,
		}},
		Defaultv4Gateway: defaultRoute{
			Name: guestDevice,
			Route: route{
				Destination: net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, net.IPv4len*8)}, Gateway: l.gateway.AsSlice(),
			},
		},
		AllowConnectedOnSave: true, IsRestore: restored,
	}
}

func addressOf(prefix netip.Prefix) addressWithPrefix {
	return addressWithPrefix{Address: prefix.Addr().AsSlice(), PrefixLen: prefix.Bits()}
}

func routeTo(prefix netip.Prefix) route {
	network := prefix.Masked()
	return route{Destination: net.IPNet{IP: network.Addr().AsSlice(), Mask: net.CIDRMask(network.Bits(), network.Addr().BitLen())}}
}
