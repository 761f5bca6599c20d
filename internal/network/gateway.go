package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

// startGateway opens its sockets inside the slot's namespace, where only the
// guest's redirected packets reach them.
func (s *Slot) startGateway(policy *egress.Policy) (_ *egress.Gateway, err error) {
	config := egress.GatewayConfig{
		Original: originalDestination, Dial: s.dial,
		NameServer: netip.AddrPortFrom(s.resolver, domainPort), Roots: s.roots, Log: s.log,
		PublicNameServer: netip.AddrPortFrom(publicResolver(s.resolver), domainPort),
		UpstreamNetworks: s.upstreamNetworks, DialHost: new(net.Dialer).DialContext,
	}
	err = inNamespace(s.namespaceName(), func() error { return listen(&config) })
	if err != nil {
		return nil, fmt.Errorf("open the gateway's sockets: %w", err)
	}
	return egress.StartGateway(config, policy), nil
}

func listen(config *egress.GatewayConfig) (err error) {
	var listener net.ListenConfig
	listener.SetMultipathTCP(false) // MPTCP sockets do not have SO_ORIGINAL_DST
	names := net.JoinHostPort(GatewayIP, strconv.Itoa(domainPort))
	if config.Packets, err = listener.ListenPacket(context.Background(), "udp4", names); err != nil {
		return err
	}
	if config.Streams, err = listener.Listen(context.Background(), "tcp4", names); err != nil {
		return errors.Join(err, config.Packets.Close())
	}
	connections, err := listener.Listen(context.Background(), "tcp4", net.JoinHostPort(GatewayIP, strconv.Itoa(proxyPort)))
	if err != nil {
		return errors.Join(err, config.Packets.Close(), config.Streams.Close())
	}
	config.Connections = connections.(*net.TCPListener)
	return nil
}

// originalDestination asks the kernel for a connection's destination from before it was
// redirected.
func originalDestination(conn *net.TCPConn) (netip.AddrPort, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("look at a redirected connection: %w", err)
	}
	var option *unix.IPv6Mreq // of the same size as the sockaddr_in that the kernel returns
	var failure error
	err = raw.Control(func(descriptor uintptr) {
		option, failure = unix.GetsockoptIPv6Mreq(int(descriptor), unix.SOL_IP, unix.SO_ORIGINAL_DST)
	})
	if err := errors.Join(err, failure); err != nil {
		return netip.AddrPort{}, fmt.Errorf("read a connection's original destination: %w", err)
	}
	port := binary.BigEndian.Uint16(option.Multiaddr[2:4])
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(option.Multiaddr[4:8])), port), nil
}
