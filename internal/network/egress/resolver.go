package egress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Dial opens a connection from inside the sandbox's network namespace. Its
// address is always literal.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

const (
	upstreamTimeout = 5 * time.Second
	maxPins         = 4096
	shortestPin     = 30 * time.Second
	longestPin      = time.Hour
	// udpSize is what fits in a packet on every path (DNS flag day 2020).
	udpSize = 1232
)

var errNoAddress = errors.New("the name has no public IPv4 address")

// resolver asks the host's name server for the guest and pins the answers: connections to
// a name go to those addresses only.
type resolver struct {
	upstream netip.AddrPort
	dial     Dial
	// through, if set, returns the dialer of the proxy, for publicUpstream; nil if there is
	// none.
	through        func() Dial
	publicUpstream netip.AddrPort

	mutex sync.Mutex
	pins  map[string]pin
}

type pin struct {
	addresses []netip.Addr
	until     time.Time
}

func newResolver(upstream netip.AddrPort, dial Dial) *resolver {
	return &resolver{upstream: upstream, dial: dial, pins: map[string]pin{}}
}

// lookup returns the addresses of a name in normal form: the pinned ones, or those that
// the name server returns.
func (r *resolver) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if addresses, found := r.pinned(name, time.Now()); found {
		return addresses, nil
	}
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	reply, err := r.exchange(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", name, err)
	}
	r.pin(name, reply, time.Now())
	addresses, _ := publicAddresses(reply, query.Question[0].Name)
	if len(addresses) == 0 {
		return nil, fmt.Errorf("resolve %s: %w", name, errNoAddress)
	}
	return addresses, nil
}

func (r *resolver) pinned(name string, now time.Time) ([]netip.Addr, bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	pin, found := r.pins[name]
	return pin.addresses, found && now.Before(pin.until)
}

// pin keeps the addresses that the guest gets for a name.
func (r *resolver) pin(name string, reply *dns.Msg, now time.Time) {
	addresses, lifetime := publicAddresses(reply, dns.Fqdn(name))
	if len(addresses) == 0 {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.pins) >= maxPins {
		maps.DeleteFunc(r.pins, func(_ string, old pin) bool { return now.After(old.until) })
	}
	if len(r.pins) >= maxPins {
		clear(r.pins) // a guest that asks for so many names can ask again
	}
	r.pins[name] = pin{addresses: addresses, until: now.Add(min(max(lifetime, shortestPin), longestPin))}
}

// publicAddresses reads the addresses of name, through its aliases, that are
// not Forbidden, and how long they are valid.
func publicAddresses(reply *dns.Msg, name string) ([]netip.Addr, time.Duration) {
	aliases := map[string]bool{strings.ToLower(name): true}
	lifetime := longestPin
	var addresses []netip.Addr
	for _, record := range reply.Answer {
		if !aliases[strings.ToLower(record.Header().Name)] {
			continue
		}
		switch record := record.(type) {
		case *dns.CNAME:
			aliases[strings.ToLower(record.Target)] = true
		case *dns.A:
			if address, ok := publicAddress(record); ok && !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
				lifetime = min(lifetime, time.Duration(record.Hdr.Ttl)*time.Second)
			}
		}
	}
	return addresses, lifetime
}

func publicAddress(record *dns.A) (netip.Addr, bool) {
	address, ok := netip.AddrFromSlice(record.A)
	address = address.Unmap()
	return address, ok && address.Is4() && !Forbidden.Contains(address)
}

// exchange sends a query over UDP, and again over TCP if the answer does not fit.
func (r *resolver) exchange(ctx context.Context, query *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	query.SetEdns0(udpSize, false)
	if r.through != nil {
		if dial := r.through(); dial != nil { // which carries no datagrams
			return ask(ctx, dial, r.publicUpstream, "tcp", query)
		}
	}
	reply, err := ask(ctx, r.dial, r.upstream, "udp", query)
	if err == nil && reply.Truncated {
		reply, err = ask(ctx, r.dial, r.upstream, "tcp", query)
	}
	return reply, err
}

func ask(ctx context.Context, dial Dial, server netip.AddrPort, network string, query *dns.Msg) (*dns.Msg, error) {
	conn, err := dial(ctx, network, server.String())
	if err != nil {
		return nil, fmt.Errorf("reach the name server: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	client := &dns.Client{Net: network, UDPSize: udpSize, Timeout: upstreamTimeout}
	reply, _, err := client.ExchangeWithConnContext(ctx, query, &dns.Conn{Conn: conn, UDPSize: udpSize})
	if err != nil {
		return nil, fmt.Errorf("ask the name server: %w", err)
	}
	if len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, query.Question[0].Name) ||
		reply.Question[0].Qtype != query.Question[0].Qtype {
		return nil, errors.New("the name server answered another question")
	}
	return reply, nil
}
