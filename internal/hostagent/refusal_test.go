package hostagent

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

func TestRefuse_SaysWhichProxyTheOperatorDoesNotAllow(t *testing.T) {
	t.Parallel()
	proxy := egress.Upstream{Address: "10.0.0.1:1080", Username: "user", Password: "secret"}
	err := proxy.MayBe([]netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")})
	refusal := refusalOf(fmt.Errorf("create a sandbox: %w", err))
	require.Equal(t, pb.Reason_REASON_NETWORK_REFUSED, refusal.Reason)
	require.Contains(t, refusal.Explanation, "10.0.0.1:1080")
	require.NotContains(t, refusal.Explanation, "secret")
	require.NoError(t, proxy.MayBe([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}))
}
