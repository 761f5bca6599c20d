package config_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFromEnvironment_RefusesToForgetWhoDidWhatTooSoon(t *testing.T) {
	t.Parallel()
	environment := complete()
	environment["WRENN_AUDIT_RETENTION"] = "24h"
	_, err := read(environment)
	require.ErrorContains(t, err, "WRENN_AUDIT_RETENTION must be at least 720h")
	environment["WRENN_AUDIT_RETENTION"] = "720h"
	_, err = read(environment)
	require.NoError(t, err)
}

func TestFromEnvironment_ReadsLists(t *testing.T) {
	t.Parallel()
	environment := complete()
	environment["WRENN_OLD_SECRET_KEY_FILES"] = "/old, /older,"
	environment["WRENN_CHANNEL_NETWORKS"] = "10.1.2.3/16,fd00::/8"
	got, err := read(environment)
	require.NoError(t, err)
	require.Equal(t, []string{"/old", "/older"}, got.OldSecretKeyFiles)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}, got.ChannelNetworks)
}
