package channels

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"go4.org/netipx"
)

const (
	sendTimeout = 15 * time.Second
	dialTimeout = 5 * time.Second
	// maxHeaderBytes bounds the headers of an answer.
	maxHeaderBytes = 32 << 10
)

// ErrForbiddenAddress says that a message would go to where this installation
// sends none: its own machine, its network, or another place that is not public.
var ErrForbiddenAddress = errors.New("the address is not a public one")

// ErrPlainHTTP says that a message would cross the internet unencrypted.
var ErrPlainHTTP = errors.New("http is possible only within the networks that the installation allows; use https")

// notPublic are networks that the internet does not route, or that lead to such
// behind another address (IANA's special-purpose registries).
var notPublic = mustSet(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// publicIPv6 is all that is given out for the internet so far.
var publicIPv6 = netip.MustParsePrefix("2000::/3")

func mustSet(networks ...string) *netipx.IPSet {
	var builder netipx.IPSetBuilder
	for _, network := range networks {
		builder.AddPrefix(netip.MustParsePrefix(network))
	}
	set, err := builder.IPSet()
	if err != nil {
		panic(err) // constants
	}
	return set
}

// isPublic says whether an address is one of the internet.
func isPublic(address netip.Addr) bool {
	address = address.Unmap()
	if address.Is6() && !publicIPv6.Contains(address) {
		return false
	}
	return !notPublic.Contains(address)
}

type plainKey struct{}

// outbound sends requests to public addresses and to allowed networks only. It
// looks at the address that is really connected to, after names were resolved, so
// that no name can lead elsewhere; it follows no redirect and uses no proxy.
type outbound struct {
	allowed []netip.Prefix
	client  *http.Client
}

func newOutbound(allowed []netip.Prefix) *outbound {
	o := &outbound{allowed: allowed}
	dialer := &net.Dialer{Timeout: dialTimeout, ControlContext: o.control}
	o.client = &http.Client{
		Timeout:       sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeaderBytes,
		},
	}
	return o
}

// control is asked before each connection, for each address of a name.
func (o *outbound) control(ctx context.Context, _, target string, _ syscall.RawConn) error {
	endpoint, err := netip.ParseAddrPort(target)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbiddenAddress, target)
	}
	for _, network := range o.allowed {
		if network.Contains(endpoint.Addr().Unmap()) {
			return nil
		}
	}
	if !isPublic(endpoint.Addr()) {
		return ErrForbiddenAddress
	}
	if plain, _ := ctx.Value(plainKey{}).(bool); plain {
		return ErrPlainHTTP
	}
	return nil
}

func (o *outbound) do(request *http.Request) (*http.Response, error) {
	plain := request.URL.Scheme != "https"
	return o.client.Do(request.WithContext(context.WithValue(request.Context(), plainKey{}, plain)))
}
