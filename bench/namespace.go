package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"git.omukk.dev/wrenn/sandbox/internal/network"
	"git.omukk.dev/wrenn/sandbox/internal/thread"
)

// The network of Wrenn's base template's snapshot. A restored guest works only with
// these addresses.
const (
	namespaceName = "wrenn-bench"
	tapDevice     = "tap0"
	guestAddress  = network.GuestIP
	guestMAC      = network.GuestMAC
	gatewayMAC    = network.GatewayMAC
)

// makeNamespace makes the network namespace of the side by hand, with its TAP device.
func makeNamespace() error {
	return thread.Run(func() error {
		namespace, err := netns.NewNamed(namespaceName)
		if err != nil {
			return fmt.Errorf("make network namespace: %w", err)
		}
		defer namespace.Close()
		if err := makeTap(); err != nil {
			return errors.Join(err, removeNamespace())
		}
		return nil
	})
}

func removeNamespace() error { return netns.DeleteNamed(namespaceName) }

func makeTap() error {
	mac, err := net.ParseMAC(gatewayMAC)
	if err != nil {
		return err
	}
	tap := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: tapDevice, HardwareAddr: mac},
		Mode:      netlink.TUNTAP_MODE_TAP,
		Flags:     netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_VNET_HDR,
	}
	if err := netlink.LinkAdd(tap); err != nil {
		return fmt.Errorf("make TAP device: %w", err)
	}
	if err := netlink.LinkSetHardwareAddr(tap, mac); err != nil {
		return fmt.Errorf("set TAP's hardware address: %w", err)
	}
	address, err := netlink.ParseAddr(fmt.Sprintf("%s/%d", network.GatewayIP, network.GuestPrefixLength))
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(tap, address); err != nil {
		return fmt.Errorf("set TAP's address: %w", err)
	}
	if err := netlink.LinkSetUp(tap); err != nil {
		return fmt.Errorf("bring TAP up: %w", err)
	}
	guest, err := net.ParseMAC(guestMAC)
	if err != nil {
		return err
	}
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: tap.Index, State: netlink.NUD_PERMANENT,
		IP: netip.MustParseAddr(guestAddress).AsSlice(), HardwareAddr: guest,
	})
}

// inNamespace runs work on a thread in the namespace at a path.
func inNamespace(path string, work func() error) error {
	return thread.Run(func() error {
		if err := thread.EnterNetwork(path); err != nil {
			return err
		}
		return work()
	})
}

// clientInside is an HTTP client whose connections are made in a namespace. A socket
// stays in the namespace in which it was made.
func clientInside(path string) *http.Client {
	dialer := &net.Dialer{}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = inNamespace(path, func() error {
				conn, err = dialer.DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}
}
