package network

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
)

// The kernel of the namespace has to leave all that arrives at the guest's end to the VMM:
// it would answer for the guest, or pass its packets on.
func TestPool_GivesAPacketLinkNothingThatTheKernelAnswersFor(t *testing.T) {
	requireRoot(t)
	pool, err := NewPool(t.Context(), Config{
		StateDir: t.TempDir(), Range: testRange, PacketLinks: true, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, pool.Close()) }()
	slot := acquire(t, pool)
	defer pool.Release(slot)
	require.NotEqual(t, TapDevice, slot.GuestDevice())
	var addresses []netlink.Addr
	var mac, settings string
	require.NoError(t, inNamespace(slot.namespaceName(), func() error {
		end, err := netlink.LinkByName(slot.GuestDevice())
		if err != nil {
			return err
		}
		mac = end.Attrs().HardwareAddr.String()
		for _, name := range []string{"ipv4/conf/" + packetDevice + "/forwarding", "ipv4/conf/" + packetDevice + "/arp_ignore", "ipv6/conf/" + packetDevice + "/disable_ipv6"} {
			value, err := os.ReadFile("/proc/sys/net/" + name)
			if err != nil {
				return err
			}
			settings += strings.TrimSpace(string(value)) + " "
		}
		addresses, err = netlink.AddrList(end, netlink.FAMILY_ALL)
		return err
	}))
	require.Empty(t, addresses)
	require.NotEqual(t, GuestMAC, mac, "frames for the guest are for another machine")
	require.NotEqual(t, GatewayMAC, mac)
	require.Equal(t, "0 8 1 ", settings)
}
