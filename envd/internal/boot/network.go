package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// networkFile describes the guest's network; the host writes it.
const networkFile = Directory + "/network.json"

const networkDevice = "eth0"

// Network is the guest's address and its way out.
type Network struct {
	Address    netip.Prefix `json:"address"`
	Gateway    netip.Addr   `json:"gateway"`
	GatewayMAC string       `json:"gatewayMAC"`
}

// ReadNetwork reads the description of the guest's network.
func ReadNetwork() (Network, error) { return readNetwork(networkFile) }

func readNetwork(path string) (Network, error) {
	var n Network
	content, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(content, &n)
	}
	if err == nil && (!n.Address.Addr().Is4() || !n.Gateway.Is4()) {
		err = errors.New("the addresses are not IPv4")
	}
	if err != nil {
		return Network{}, fmt.Errorf("read the description of the network: %w", err)
	}
	return n, nil
}

// setUp configures loopback and the network device. There are no IPv6 addresses: asking
// for routers would delay and tell nothing. The gateway's hardware address never changes.
func (n Network) setUp() error {
	hardware, err := net.ParseMAC(n.GatewayMAC)
	if err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	const noIPv6 = "/proc/sys/net/ipv6/conf/" + networkDevice + "/disable_ipv6"
	if err := os.WriteFile(noIPv6, []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set up the network: %w", err)
	}
	mask := net.CIDRMask(n.Address.Bits(), n.Address.Addr().BitLen())
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"loopback", func() error { return bringUp(socket, "lo") }},
		{"address", func() error { return setAddress(socket, unix.SIOCSIFADDR, n.Address.Addr().AsSlice()) }},
		{"mask", func() error { return setAddress(socket, unix.SIOCSIFNETMASK, mask) }},
		{"device", func() error { return bringUp(socket, networkDevice) }},
		{"gateway's address", func() error { return setNeighbour(socket, n.Gateway, hardware) }},
		{"route", func() error { return addDefaultRoute(socket, n.Gateway) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("set up the network: %s: %w", step.what, err)
		}
	}
	return nil
}

func setAddress(socket int, request uint, address []byte) error {
	device, err := unix.NewIfreq(networkDevice)
	if err != nil {
		return err
	}
	if err := device.SetInet4Addr(address); err != nil {
		return err
	}
	return unix.IoctlIfreq(socket, request, device)
}

func bringUp(socket int, name string) error {
	device, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, device); err != nil {
		return err
	}
	device.SetUint16(device.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, device)
}

// socketAddress is struct sockaddr; data is that of the family.
type socketAddress struct {
	family uint16
	data   [14]byte
}

func inet(address netip.Addr) socketAddress {
	const addressOffset = 2 // after the port
	out := socketAddress{family: unix.AF_INET}
	copy(out.data[addressOffset:], address.AsSlice())
	return out
}

// neighbour is struct arpreq of net/if_arp.h.
type neighbour struct {
	protocol, hardware socketAddress
	flags              int32
	mask               socketAddress
	device             [16]byte
}

// setNeighbour makes the hardware address of a neighbour known for good.
func setNeighbour(socket int, address netip.Addr, hardware net.HardwareAddr) error {
	const complete, permanent = 0x2, 0x4 // ATF_COM, ATF_PERM
	entry := neighbour{protocol: inet(address), hardware: socketAddress{family: unix.ARPHRD_ETHER}, flags: complete | permanent}
	copy(entry.hardware.data[:], hardware)
	copy(entry.device[:], networkDevice)
	return askKernel(socket, unix.SIOCSARP, unsafe.Pointer(&entry))
}

// route is struct rtentry of linux/route.h.
type route struct {
	_                          uint64
	destination, gateway, mask socketAddress
	flags                      uint16
	_                          int16
	_                          uint64
	_                          unsafe.Pointer
	metric                     int16
	device                     unsafe.Pointer
	mtu, window                uint64
	initialRoundTrip           uint16
}

func addDefaultRoute(socket int, gateway netip.Addr) error {
	entry := route{
		destination: inet(netip.IPv4Unspecified()), gateway: inet(gateway), mask: inet(netip.IPv4Unspecified()),
		flags: unix.RTF_UP | unix.RTF_GATEWAY,
	}
	return askKernel(socket, unix.SIOCADDRT, unsafe.Pointer(&entry))
}

func askKernel(socket int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
