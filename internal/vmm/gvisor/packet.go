package gvisor

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/thread"
)

// packetLink is a socket for the frames of a device, and what the guest has to know of the
// device.
type packetLink struct {
	socket     *os.File
	mtu        int
	gsoMaxSize uint32
}

// bufferBytes are of the socket, for each direction. Memory is used as frames wait.
const bufferBytes = 4 << 20

// openPacketLink opens one end of a veth pair in a network namespace: what is written to it
// arrives in the namespace at the other end, as from a wire.
// Source: packet(7).
func openPacketLink(namespace, name string) (link packetLink, err error) {
	err = thread.Run(func() error {
		if err := thread.EnterNetwork(namespace); err != nil {
			return err
		}
		device, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if device.Type() != (&netlink.Veth{}).Type() {
			return fmt.Errorf("it is a device of type %q, not the end of a veth pair", device.Type())
		}
		link.mtu, link.gsoMaxSize = device.Attrs().MTU, device.Attrs().GSOMaxSize
		link.socket, err = openPacketSocket(device.Attrs().Index)
		return err
	})
	if err != nil {
		return packetLink{}, fmt.Errorf("open the guest's device %s: %w", name, err)
	}
	return link, nil
}

// openPacketSocket opens a socket whose frames have a header of offloads: large ones are
// not split, and checksums are computed only on a real wire.
func openPacketSocket(index int) (*os.File, error) {
	descriptor, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	for _, option := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferBytes},
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bufferBytes},
	} {
		if err == nil {
			err = unix.SetsockoptInt(descriptor, option.level, option.name, option.value)
		}
	}
	const allProtocols = 0x0300 // htons(ETH_P_ALL)
	if err == nil {
		err = unix.Bind(descriptor, &unix.SockaddrLinklayer{Protocol: allProtocols, Ifindex: index})
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(descriptor))
	}
	return os.NewFile(uintptr(descriptor), "packets"), nil
}
