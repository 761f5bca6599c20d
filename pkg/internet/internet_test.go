package internet_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

func TestIsPublic_RefusesEveryWayToWriteASpecialAddress(t *testing.T) {
	t.Parallel()
	for _, special := range []string{
		"0.0.0.0", "10.1.2.3", "127.0.0.1", "172.31.0.1", "192.168.0.1", "255.255.255.255", "224.0.0.1", "192.0.2.1",
		"169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192",
		"fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe", "fe80::1%eth0", "::", "::1", "ff02::1", "fec0::1",
		"::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254",
		"64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe",
		"2002:a9fe:a9fe::1", "2002:0808:0808::1", "2001:0:a9fe:a9fe::1", "2001:db8::1", "3fff::1", "5f00::1",
		"2a00:1450::5efe:a9fe:a9fe", "2a00:1450::200:5efe:127.0.0.1",
	} {
		require.False(t, internet.IsPublic(netip.MustParseAddr(special)), special)
	}
	for _, public := range []string{"1.1.1.1", "168.63.129.15", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450:4001::200e"} {
		require.True(t, internet.IsPublic(netip.MustParseAddr(public)), public)
	}
	require.False(t, internet.IsPublic(netip.Addr{}))
}

func TestGuard_RefusesThisMachinesOwnAddressesThoughTheyArePublic(t *testing.T) {
	t.Parallel()
	own := func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("2a00::1")}, nil
	}
	for allowed, want := range map[string]map[string]bool{
		"": {
			"8.8.8.8": true, "8.8.4.4": false, "::ffff:8.8.4.4": false, "2a00::1": false, "2a00::2": true,
			"10.0.0.6": false, "127.0.0.1": false, "0.0.0.0": false,
		},
		"10.0.0.0/8":   {"10.0.0.6": true, "10.0.0.5": false, "127.0.0.1": false},
		"10.0.0.5/32":  {"10.0.0.6": false, "10.0.0.5": true},
		"0.0.0.0/0":    {"8.8.4.4": false, "127.0.0.1": false, "192.168.1.1": true},
		"127.0.0.0/8":  {"127.0.0.1": true, "10.0.0.6": false},
		"127.0.0.1/32": {"127.0.0.1": true, "127.0.0.2": false},
		"::1/128":      {"::1": true},
	} {
		guard := internet.Guard{Own: own}
		if allowed != "" {
			guard.Allowed = []netip.Prefix{netip.MustParsePrefix(allowed)}
		}
		for address, open := range want {
			err := guard.Check(netip.MustParseAddr(address))
			require.Equal(t, open, err == nil, "%s with %q allowed: %v", address, allowed, err)
		}
	}
}

func TestOwnAddresses_AreThoseOfTheInterfaces(t *testing.T) {
	t.Parallel()
	own, err := internet.OwnAddresses()
	require.NoError(t, err)
	require.Contains(t, own, netip.MustParseAddr("127.0.0.1"))
}
