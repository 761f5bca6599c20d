package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

const (
	dialTimeout  = 10 * time.Second
	dialAttempts = 3
	// maxConnecting bounds the connections of one guest that are being opened, each with
	// its DNS query: without an answer they last until a timeout.
	maxConnecting = 256
)

// flows are the connections that a Gateway has open to the outside, and the policy that
// must allow each of them at any time.
type flows struct {
	dial      Dial
	upstreams *upstreams
	resolver  *resolver
	turns     chan struct{} // held while connecting
	notices   *notice.Notices

	mutex  sync.Mutex
	policy *Policy
	open   map[*flow]struct{}
}

// flow is one connection. Its host is the name it was opened for, or the address; a name
// that a proxy resolves has no address.
type flow struct {
	net.Conn
	stream  *net.TCPConn // Conn, or what is below its TLS
	through Upstream
	host    string
	address netip.Addr
	owner   *flows
}

// ReadFrom and WriteTo let the kernel copy from socket to socket where it can.
func (f *flow) ReadFrom(reader io.Reader) (int64, error) { return io.Copy(f.Conn, reader) }

// WriteTo copies from the connection; see ReadFrom.
func (f *flow) WriteTo(writer io.Writer) (int64, error) { return io.Copy(writer, f.Conn) }

// CloseWrite ends the direction to the server.
func (f *flow) CloseWrite() error {
	closer, ok := f.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errNoTCP
	}
	return closer.CloseWrite()
}

func (f *flow) Close() error {
	f.owner.mutex.Lock()
	delete(f.owner.open, f)
	f.owner.mutex.Unlock()
	return f.Conn.Close()
}

func (f *flow) allowedBy(policy *Policy) bool {
	if f.through != policy.through() {
		return false
	}
	if !f.address.IsValid() {
		return policy.AllowsDomain(f.host)
	}
	if f.host == f.address.String() {
		return policy.AllowsAddress(f.address)
	}
	return policy.allowsNamed(f.host, f.address)
}

// pass connects to a host through the policy's proxy, or to an address directly.
func (s *flows) pass(ctx context.Context, opened *flow, port uint16) (link, error) {
	host := opened.host
	if opened.address.IsValid() {
		host = opened.address.String()
	}
	target := net.JoinHostPort(host, strconv.Itoa(int(port)))
	if opened.through != (Upstream{}) {
		conn, err := s.upstreams.connect(ctx, opened.through, target)
		if err != nil {
			s.notices.Warn("the guest's egress proxy does not connect it")
		}
		return conn, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	stream, err := dialTCP(ctx, s.dial, target)
	if err != nil {
		return link{}, err
	}
	return link{stream, stream}, nil
}

func dialTCP(ctx context.Context, dial Dial, target string) (*net.TCPConn, error) {
	conn, err := dial(ctx, "tcp4", target)
	if err != nil {
		return nil, err
	}
	stream, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return nil, errNoTCP
	}
	return stream, nil
}

// tunnelled returns the dialer of the policy's proxy; nil if there is none.
func (s *flows) tunnelled() Dial {
	through := s.current().through()
	if through == (Upstream{}) {
		return nil
	}
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		conn, err := s.upstreams.connect(ctx, through, address)
		return conn.Conn, err
	}
}

var errNoTCP = errors.New("the dialer makes no TCP connections")

func (s *flows) current() *Policy {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.policy
}

// update puts a policy in force and cuts the connections that it denies.
func (s *flows) update(policy *Policy) {
	s.mutex.Lock()
	s.policy = policy
	var denied []*flow
	for open := range s.open {
		if !open.allowedBy(policy) {
			denied = append(denied, open)
		}
	}
	s.mutex.Unlock()
	for _, open := range denied {
		open.cut()
	}
}

// cut ends a connection and drops what was not sent yet.
func (f *flow) cut() {
	_ = f.stream.SetLinger(0) // fails if the socket is closed already
	_ = f.stream.Close()      // before Close, which would send TLS's close_notify first
	_ = f.Close()
}

func (s *flows) closeAll() { s.update(nil) }

// destination returns the host for a connection that a guest opened to the address
// original, for a name in normal form or without one: the name, if a list or a rule has
// it; else original, if that needs no name.
func destination(policy *Policy, name string, original netip.Addr) (host string, err error) {
	if _, ruled := policy.transformFor(name); ruled || policy.AllowsDomain(name) {
		return name, nil
	}
	if policy.AllowsAddress(original) {
		return original.String(), nil
	}
	return "", fmt.Errorf("connect to %q at %s: %w", name, original, ErrDenied)
}

// connect opens a connection to a host that destination returned, under a policy, unless
// the one that is in force afterwards denies it. The gateway resolves names itself; the
// guest's address only selects among the name's own.
func (s *flows) connect(ctx context.Context, policy *Policy, host string, original netip.AddrPort) (*flow, error) {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	default:
		s.notices.Warn("the guest has too many connections under way")
		return nil, fmt.Errorf("connect to %s: %w", host, ErrBusy)
	}
	addresses, err := s.addresses(ctx, policy, host, original.Addr())
	if err != nil {
		return nil, err
	}
	failure := fmt.Errorf("connect to %s: %w", host, ErrDenied)
	for _, address := range addresses[:min(len(addresses), dialAttempts)] {
		opened := &flow{through: policy.through(), host: host, address: address, owner: s}
		if !opened.allowedBy(policy) {
			continue
		}
		if failure = s.dialOne(ctx, opened, original.Port()); failure == nil {
			return opened, nil
		}
	}
	return nil, failure
}

// addresses are the addresses of a host to try. There are none for a host that a proxy
// resolves, because its name is allowed at any address.
func (s *flows) addresses(ctx context.Context, policy *Policy, host string, preferred netip.Addr) ([]netip.Addr, error) {
	if literal, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{literal}, nil
	}
	if policy.Tunnels() && policy.AllowsDomain(host) {
		return []netip.Addr{{}}, nil
	}
	found, err := s.resolver.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if at := slices.Index(found, preferred); at > 0 {
		found = slices.Clone(found)
		found[0], found[at] = found[at], found[0]
	}
	return found, nil
}

// dialOne dials one address. The policy may change meanwhile, so it is checked again
// when the flow is added to those that update cuts.
func (s *flows) dialOne(ctx context.Context, opened *flow, port uint16) error {
	conn, err := s.pass(ctx, opened, port)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", opened.host, err)
	}
	opened.Conn, opened.stream = conn.Conn, conn.stream
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !opened.allowedBy(s.policy) {
		opened.stream.Close()
		return fmt.Errorf("connect to %s: %w", opened.host, ErrDenied)
	}
	s.open[opened] = struct{}{}
	return nil
}
