package port

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
)

// maxRelayed bounds the connections that a relay has at once; more wait.
const maxRelayed = 4096

// Relay stands in for socat in an image that has none, with the two arguments that a
// forwarder gives it: TCP4-LISTEN:PORT,bind=ADDRESS,… and TCP4:ADDRESS:PORT or
// TCP6:[ADDRESS]:PORT. It serves until it is killed, and returns the exit status.
func Relay(arguments []string, complaints io.Writer) int {
	if err := relay(arguments); err != nil {
		fmt.Fprintln(complaints, "relay:", err)
	}
	return 1
}

func relay(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("it takes an address to listen on and one to connect to")
	}
	from, err := parseListen(arguments[0])
	if err != nil {
		return err
	}
	to, err := parseConnect(arguments[1])
	if err != nil {
		return err
	}
	listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(from))
	if err != nil {
		return err
	}
	defer listener.Close()
	return serveRelay(listener, to)
}

func parseListen(text string) (netip.AddrPort, error) {
	rest, found := strings.CutPrefix(text, "TCP4-LISTEN:")
	options := strings.Split(rest, ",")
	port, err := strconv.ParseUint(options[0], 10, 16)
	if !found || err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address to listen on", text)
	}
	for _, option := range options[1:] {
		if bind, found := strings.CutPrefix(option, "bind="); found {
			address, err := netip.ParseAddr(bind)
			return netip.AddrPortFrom(address, uint16(port)), err
		}
	}
	return netip.AddrPort{}, fmt.Errorf("%q binds to no address", text)
}

func parseConnect(text string) (netip.AddrPort, error) {
	kind, address, _ := strings.Cut(text, ":")
	parsed, err := netip.ParseAddrPort(address)
	if err != nil || kind != "TCP4" && kind != "TCP6" {
		return netip.AddrPort{}, fmt.Errorf("%q is not an address to connect to", text)
	}
	return parsed, nil
}

// serveRelay connects each client of the listener with the server, until the listener
// fails.
func serveRelay(listener *net.TCPListener, server netip.AddrPort) error {
	free := make(chan struct{}, maxRelayed)
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		free <- struct{}{}
		client, err := listener.AcceptTCP()
		if err != nil {
			return err
		}
		serving.Go(func() {
			defer func() { <-free }()
			connectWith(client, server)
		})
	}
}

// connectWith copies both directions until both have ended. An end of one is passed on.
func connectWith(client *net.TCPConn, address netip.AddrPort) {
	defer client.Close()
	server, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(address))
	if err != nil {
		return // the client sees its connection end, as it would at a port without a server
	}
	defer server.Close()
	var copying sync.WaitGroup
	forward := func(to, from *net.TCPConn) {
		if _, err := io.Copy(to, from); err != nil {
			_ = from.CloseRead() // a sender must not wait for a reader that is gone
		}
		_ = to.CloseWrite()
	}
	copying.Go(func() { forward(server, client) })
	forward(client, server)
	copying.Wait()
}
