package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dial connects from the slot's own address, under its firewall and limits. It holds a
// thread inside the namespace only while it makes the socket, not until the server
// answers: Go ends a process that has too many threads.
func (s *Slot) dial(ctx context.Context, network, address string) (net.Conn, error) {
	destination, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	kind := unix.SOCK_STREAM
	if strings.HasPrefix(network, "udp") {
		kind = unix.SOCK_DGRAM
	}
	var descriptor int
	err = inNamespace(s.namespaceName(), func() (err error) {
		descriptor, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a socket for %s: %w", address, err)
	}
	socket, err := connect(ctx, descriptor, destination)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	defer socket.Close() // what is returned has a copy
	return net.FileConn(socket)
}

// connect takes over a socket and returns it connected, or closes it.
func connect(ctx context.Context, descriptor int, destination netip.AddrPort) (*os.File, error) {
	// Go's poller reports a socket as broken that has not begun to connect.
	err := unix.Connect(descriptor, &unix.SockaddrInet4{Port: int(destination.Port()), Addr: destination.Addr().As4()})
	socket := os.NewFile(uintptr(descriptor), destination.String())
	if errors.Is(err, unix.EINPROGRESS) {
		err = awaitConnected(ctx, socket, descriptor)
	}
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

func awaitConnected(ctx context.Context, socket *os.File, descriptor int) error {
	defer context.AfterFunc(ctx, func() { _ = socket.SetWriteDeadline(time.Now()) })()
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Write(func(uintptr) (ended bool) {
		ended, failure = connected(descriptor)
		return ended
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, failure)
}

// connected tells whether an attempt to connect has ended, and how.
func connected(descriptor int) (ended bool, err error) {
	code, err := unix.GetsockoptInt(descriptor, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return true, err
	case code != 0:
		return true, unix.Errno(code)
	}
	_, err = unix.Getpeername(descriptor)
	return !errors.Is(err, unix.ENOTCONN), nil
}
