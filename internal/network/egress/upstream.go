package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	socks "golang.org/x/net/proxy"
)

// Upstream is a SOCKS5 proxy (RFC 1928) that all connections of a sandbox go through.
// The zero value is none.
type Upstream struct {
	// Address is a host, by name or IPv4 address, and a port.
	Address string `json:"address,omitempty"`
	// Username and Password are those of RFC 1929; empty for a proxy that asks for none.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// TLS is whether connections to the proxy use TLS. ServerName is the name in its
	// certificate, by default the host of Address. CACert has the authorities that may
	// have signed it, in PEM; empty for the system's.
	TLS        bool   `json:"tls,omitempty"`
	ServerName string `json:"serverName,omitempty"`
	CACert     string `json:"caCert,omitempty"`
}

const (
	// longestCredential is the limit of RFC 1929.
	longestCredential = 255
	maxCACert         = 8 << 10
	// socksTimeout bounds a proxy's handshakes, which include its own connection.
	socksTimeout = 15 * time.Second
)

// ErrUpstream is returned for a connection that the sandbox's egress proxy failed to
// open.
var ErrUpstream = errors.New("the sandbox's egress proxy did not connect")

// parse checks an Upstream and splits its address.
func (u Upstream) parse() (host string, port uint16, err error) {
	refused := func(field, value string, reason error) (string, uint16, error) {
		return "", 0, &SpecError{Field: "egressProxy." + field, Value: value, Err: reason}
	}
	host, port, err = splitHostPort(u.Address)
	if err != nil || port == 0 {
		return refused("address", u.Address, ErrMalformedAddress)
	}
	if address, err := netip.ParseAddr(host); err == nil {
		if !address.Is4() {
			return refused("address", u.Address, ErrIPv6)
		}
	} else if name, ok := normaliseDomain(host); ok {
		host = name
	} else {
		return refused("address", u.Address, ErrMalformedAddress)
	}
	_, nameOK := normaliseDomain(u.ServerName)
	_, addressErr := netip.ParseAddr(u.ServerName)
	switch {
	case len(u.Username) > longestCredential || len(u.Password) > longestCredential:
		return refused("username", "", ErrMalformedCredentials)
	case u.Password != "" && u.Username == "":
		return refused("password", "", ErrMalformedCredentials)
	case !u.TLS && (u.ServerName != "" || u.CACert != ""):
		return refused("tls", "", ErrTLSOff)
	case u.ServerName != "" && !nameOK && addressErr != nil:
		return refused("tls.serverName", u.ServerName, ErrMalformedDomain)
	case len(u.CACert) > maxCACert || u.CACert != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(u.CACert)):
		return refused("tls.caCert", "", ErrMalformedCertificate)
	}
	return host, port, nil
}

// upstreams opens connections through sandboxes' proxies.
type upstreams struct {
	dial     Dial      // from the sandbox's network
	resolver *resolver // of the proxy's own name, asked directly
	// allowed are ranges that a proxy may be in although they are Forbidden; those are
	// dialled from the host's network.
	allowed  []netip.Prefix
	dialHost Dial
	roots    *x509.CertPool // nil for the system's
}

// MayBe returns a *SpecError for a proxy at an address that no sandbox may reach, and
// that is not in one of the allowed ranges.
func (u Upstream) MayBe(allowed []netip.Prefix) error {
	host, _, err := u.parse()
	if err != nil {
		return err
	}
	address, err := netip.ParseAddr(host)
	if err == nil && Forbidden.Contains(address) && !within(allowed, address) {
		return &SpecError{Field: "egressProxy.address", Value: u.Address, Err: ErrForbiddenRange}
	}
	return nil
}

func within(ranges []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(each netip.Prefix) bool { return each.Contains(address) })
}

// link is a connection through a proxy. Below TLS, if there is any, is stream.
type link struct {
	net.Conn
	stream *net.TCPConn
}

// connect connects through a proxy to a target, a name or an address with its port. If
// the proxy fails there is no other way.
func (u *upstreams) connect(ctx context.Context, through Upstream, target string) (link, error) {
	ctx, cancel := context.WithTimeout(ctx, socksTimeout)
	defer cancel()
	opened, err := u.reach(ctx, through)
	if err != nil {
		return link{}, fmt.Errorf("%w: reach %s: %w", ErrUpstream, through.Address, err)
	}
	var credentials *socks.Auth
	if through.Username != "" {
		credentials = &socks.Auth{User: through.Username, Password: through.Password}
	}
	dialer, err := socks.SOCKS5("tcp", through.Address, credentials, already{opened})
	if err == nil {
		// The connection that this returns only wraps opened, which is used instead.
		_, err = dialer.(socks.ContextDialer).DialContext(ctx, "tcp", target)
	}
	if err != nil {
		opened.stream.Close()
		return link{}, fmt.Errorf("%w: %w", ErrUpstream, err)
	}
	return opened, nil
}

// already is a dialer that returns an open connection.
type already struct{ conn net.Conn }

func (a already) Dial(string, string) (net.Conn, error) { return a.conn, nil }

func (a already) DialContext(context.Context, string, string) (net.Conn, error) { return a.conn, nil }

// reach connects to the proxy itself, by TLS if that is set.
func (u *upstreams) reach(ctx context.Context, through Upstream) (link, error) {
	host, port, err := through.parse()
	if err != nil {
		return link{}, err
	}
	addresses := []netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		addresses = append(addresses, literal)
	} else if addresses, err = u.resolver.lookup(ctx, host); err != nil {
		return link{}, err
	}
	stream, err := u.dialFirst(ctx, addresses, port)
	if err != nil {
		return link{}, err
	}
	if !through.TLS {
		return link{stream, stream}, nil
	}
	secured := tls.Client(stream, u.tlsConfig(through, host))
	if err := secured.HandshakeContext(ctx); err != nil {
		stream.Close()
		return link{}, fmt.Errorf("speak TLS: %w", err)
	}
	return link{secured, stream}, nil
}

func (u *upstreams) tlsConfig(through Upstream, host string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: u.roots}
	if through.ServerName != "" {
		config.ServerName = through.ServerName
	}
	if through.CACert != "" {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM([]byte(through.CACert))
	}
	return config
}

func (u *upstreams) dialFirst(ctx context.Context, addresses []netip.Addr, port uint16) (*net.TCPConn, error) {
	failure := errNoAddress
	for _, address := range addresses[:min(len(addresses), dialAttempts)] {
		dial := u.dial
		if Forbidden.Contains(address) {
			if !within(u.allowed, address) {
				failure = ErrForbiddenRange
				continue
			}
			dial = u.dialHost
		}
		target := net.JoinHostPort(address.String(), strconv.Itoa(int(port)))
		stream, err := dialTCP(ctx, dial, target)
		if err == nil {
			return stream, nil
		}
		failure = err
	}
	return nil, failure
}
