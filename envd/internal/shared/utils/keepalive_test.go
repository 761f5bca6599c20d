package utils

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeepaliveInterval_IsWhatTheClientAsksForWithinBounds(t *testing.T) {
	for asked, want := range map[string]time.Duration{
		"50": 50 * time.Second, "1": time.Second, "3600": time.Hour, "3601": time.Hour, "2147483647": time.Hour,
		"": 90 * time.Second, "0": 90 * time.Second, "-5": 90 * time.Second, "soon": 90 * time.Second,
		"1.5": 90 * time.Second, "99999999999999999999": 90 * time.Second,
	} {
		require.Equal(t, want, KeepaliveInterval(http.Header{"Keepalive-Ping-Interval": {asked}}), "%q", asked)
	}
	require.Equal(t, 90*time.Second, KeepaliveInterval(http.Header{}))
}
