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

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

const (
	sendTimeout = 15 * time.Second
	dialTimeout = 5 * time.Second
	// maxHeaderBytes bounds the headers of an answer.
	maxHeaderBytes = 32 << 10
)

// ErrPlainHTTP refuses http outside the allowed networks.
var ErrPlainHTTP = errors.New("http is possible only within the networks that the installation allows; use https")

type plainKey struct{}

// outbound sends requests to public addresses and to allowed networks only. It
// follows no redirect and uses no proxy.
type outbound struct {
	guard  internet.Guard
	client *http.Client
}

func newOutbound(allowed []netip.Prefix) *outbound {
	o := &outbound{guard: internet.Guard{Allowed: allowed}}
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

// control is the guard's check, and allows plain HTTP to allowed networks only.
func (o *outbound) control(ctx context.Context, network, target string, conn syscall.RawConn) error {
	if err := o.guard.Control(ctx, network, target, conn); err != nil {
		return err
	}
	endpoint, err := netip.ParseAddrPort(target)
	if err != nil {
		return fmt.Errorf("read the address %q: %w", target, err)
	}
	if plain, _ := ctx.Value(plainKey{}).(bool); plain && !o.guard.Allows(endpoint.Addr()) {
		return ErrPlainHTTP
	}
	return nil
}

func (o *outbound) do(request *http.Request) (*http.Response, error) {
	plain := request.URL.Scheme != "https"
	return o.client.Do(request.WithContext(context.WithValue(request.Context(), plainKey{}, plain)))
}
