package ratelimit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAttempts_OfOneNetworkDoNotLockAnAccountElsewhere(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	attempts := NewAttempts(3, time.Minute, 7, 10*time.Second)
	attempts.near.now = func() time.Time { return now }
	attempts.all.now = attempts.near.now
	for i := range 20 {
		err := attempts.Take("ada", fmt.Sprintf("192.0.2.%d", i))
		require.Equal(t, i >= 3, err != nil, "attempt %d: %v", i, err)
	}
	require.NoError(t, attempts.Take("ada", "198.51.100.1"))
	require.NoError(t, attempts.Take("bob", "192.0.2.1"), "another account")
	require.NoError(t, attempts.Take("ada", "2001:db8::1"))
	attempts.Succeeded("ada", "2001:db8::ffff")
	require.NoError(t, attempts.Take("ada", "2001:db8::1"))
	require.NoError(t, attempts.Take("ada", "2001:db8:0:1::1"))
	require.NoError(t, attempts.Take("ada", "2001:db8:0:2::1"))
	require.Error(t, attempts.Take("ada", "2001:db8:0:3::1"), "all networks together have a limit")
	now = now.Add(10 * time.Second)
	require.NoError(t, attempts.Take("ada", "2001:db8:0:4::1"))
}

func TestNeighbourhood_IsASmallNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64", "@": "@",
	} {
		require.Equal(t, want, Neighbourhood(address))
	}
}
