package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

const (
	dialTimeout  = 10 * time.Second
	dialAttempts = 3
	// maxConnecting bounds the connections of one guest that are on their way, each
	// with its question for the name: where nobody answers, they stay for long.
	maxConnecting = 256
)

// flows are the connections that a Gateway has open to the outside, and the
// policy that each of them has to keep, at any time.
type flows struct {
	dial     Dial
	resolver *resolver
	turns    chan struct{} // held while connecting
	notices  *notice.Notices

	mutex  sync.Mutex
	policy *Policy
	open   map[*flow]struct{}
}

// flow is one of them. Its host is the name it was opened for, or the address.
type flow struct {
	*net.TCPConn
	host    string
	address netip.Addr
	owner   *flows
}

func (f *flow) Close() error {
	f.owner.mutex.Lock()
	delete(f.owner.open, f)
	f.owner.mutex.Unlock()
	return f.TCPConn.Close()
}

func (f *flow) allowedBy(policy *Policy) bool {
	if f.host == f.address.String() {
		return policy.AllowsAddress(f.address)
	}
	return policy.allowsNamed(f.host, f.address)
}

func (s *flows) current() *Policy {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.policy
}

// update puts a policy in force and cuts what it denies.
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

// cut ends a connection without waiting for what is still to be sent.
func (f *flow) cut() {
	_ = f.SetLinger(0) // a socket that is closed already is cut
	_ = f.Close()
}

func (s *flows) closeAll() { s.update(nil) }

// destination decides where a connection goes that a guest opened to original
// and meant for name, which is in normal form or empty: to the name, where a
// list or a rule has it; else to original, where that needs no name.
func (s *flows) destination(name string, original netip.Addr) (host string, err error) {
	policy := s.current()
	if _, ruled := policy.transformFor(name); ruled || policy.AllowsDomain(name) {
		return name, nil
	}
	if policy.AllowsAddress(original) {
		return original.String(), nil
	}
	return "", fmt.Errorf("connect to %q at %s: %w", name, original, ErrDenied)
}

// connect opens a connection to a host that destination returned. The
// addresses of a name are ours to find: what the guest believes them to be only
// chooses among them.
func (s *flows) connect(ctx context.Context, host string, original netip.AddrPort) (*flow, error) {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	default:
		s.notices.Warn("the guest has too many connections under way")
		return nil, fmt.Errorf("connect to %s: %w", host, ErrBusy)
	}
	addresses, err := s.addresses(ctx, host, original.Addr())
	if err != nil {
		return nil, err
	}
	policy := s.current()
	failure := fmt.Errorf("connect to %s: %w", host, ErrDenied)
	for _, address := range addresses[:min(len(addresses), dialAttempts)] {
		opened := &flow{host: host, address: address, owner: s}
		if !opened.allowedBy(policy) {
			continue
		}
		if failure = s.dialOne(ctx, opened, original.Port()); failure == nil {
			return opened, nil
		}
	}
	return nil, failure
}

func (s *flows) addresses(ctx context.Context, host string, preferred netip.Addr) ([]netip.Addr, error) {
	if literal, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{literal}, nil
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

// dialOne dials one address. The policy may have changed meanwhile, so it is
// asked again in the moment the flow becomes one that update would cut.
func (s *flows) dialOne(ctx context.Context, opened *flow, port uint16) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.dial(ctx, "tcp4", netip.AddrPortFrom(opened.address, port).String())
	if err != nil {
		return fmt.Errorf("connect to %s: %w", opened.host, err)
	}
	stream, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return errors.New("the dialer makes no TCP connections")
	}
	opened.TCPConn = stream
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !opened.allowedBy(s.policy) {
		stream.Close()
		return fmt.Errorf("connect to %s: %w", opened.host, ErrDenied)
	}
	s.open[opened] = struct{}{}
	return nil
}
