package network

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"git.omukk.dev/wrenn/sandbox/internal/network/egress"
)

const (
	// patience is how long a guest waits for what it should get.
	patience = 5 * time.Second
	// impatience is how long it waits for what it should not: longer than the
	// kernel waits before it sends a lost packet again. What is refused is
	// refused at once; only what is dropped takes this long.
	impatience = 1200 * time.Millisecond
)

// guest is a machine behind a slot's TAP, in a namespace of its own.
type guest struct {
	t         *testing.T
	namespace string
	slot      *Slot
	roots     *x509.CertPool
}

// newGuest wires a guest to a slot: what one TAP sends, the other gets, frame
// by frame, as a VMM would do it.
func newGuest(t *testing.T, slot *Slot, roots *x509.CertPool) *guest {
	t.Helper()
	g := &guest{t: t, namespace: fmt.Sprintf("test-guest-%d", slot.index), slot: slot, roots: roots}
	require.NoError(t, inNewNamespace(g.namespace, func() error {
		tap := &netlink.Tuntap{
			LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, Mode: netlink.TUNTAP_MODE_TAP,
			Flags: netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_VNET_HDR,
		}
		return netlink.LinkAdd(tap)
	}))
	t.Cleanup(func() { require.NoError(t, deleteNamespace(g.namespace)) })
	ours, theirs := openTap(t, g.namespace, "eth0"), openTap(t, slot.namespaceName(), TapDevice)
	var pumping sync.WaitGroup
	pumping.Go(func() { pump(ours, theirs) })
	pumping.Go(func() { pump(theirs, ours) })
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
		pumping.Wait()
	})
	require.NoError(t, inNamespace(g.namespace, configureGuest))
	return g
}

func configureGuest() error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(GuestMAC)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetHardwareAddr(link, mac); err != nil {
		return err
	}
	if err := bringUp("eth0", guestAddress, GuestPrefixLength); err != nil {
		return err
	}
	if err := addNeighbour("eth0", gatewayAddress, mustParseMAC(GatewayMAC)); err != nil {
		return err // as in an image: what ARP there is, a test sends
	}
	return netlink.RouteAdd(&netlink.Route{Gw: gatewayAddress.AsSlice()})
}

func openTap(t *testing.T, namespace, device string) (tap *os.File) {
	t.Helper()
	require.NoError(t, inNamespace(namespace, func() error {
		descriptor, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(device)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		if err := unix.IoctlIfreq(descriptor, unix.TUNSETIFF, request); err != nil {
			return err
		}
		tap = os.NewFile(uintptr(descriptor), device)
		return nil
	}))
	return tap
}

func pump(from io.Reader, to io.Writer) {
	frame := make([]byte, 66<<10)
	for {
		count, err := from.Read(frame)
		if err != nil {
			return
		}
		_, _ = to.Write(frame[:count]) // an interface that is down loses frames
	}
}

func timeout(t *testing.T, after time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	t.Cleanup(cancel)
	return ctx
}

func openNamespace(t *testing.T, name string) netns.NsHandle {
	t.Helper()
	namespace, err := netns.GetFromName(name)
	require.NoError(t, err)
	t.Cleanup(func() { namespace.Close() })
	return namespace
}

// dial connects from the guest.
func (g *guest) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = inNamespace(g.namespace, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (g *guest) apply(spec egress.Spec) {
	g.t.Helper()
	policy, err := egress.Parse(spec)
	require.NoError(g.t, err)
	require.NoError(g.t, g.slot.Apply(g.t.Context(), policy))
}

// echo says something to an echo server and tells whether it came back.
func (g *guest) echo(host string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(g.t.Context(), timeout)
	defer cancel()
	conn, err := g.dial(ctx, "tcp4", net.JoinHostPort(host, echoPort))
	if err != nil {
		return err
	}
	defer conn.Close()
	return say(conn, timeout)
}

func say(conn net.Conn, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return err
	}
	_, err := bufio.NewReader(conn).ReadString('\n')
	return err
}

func (g *guest) reaches(hosts ...string) {
	g.t.Helper()
	for _, host := range hosts {
		require.NoError(g.t, g.echo(host, patience), host)
	}
}

func (g *guest) cannotReach(hosts ...string) {
	g.t.Helper()
	for _, host := range hosts {
		require.Error(g.t, g.echo(host, impatience), host)
	}
}

// get fetches a URL, from an address of the guest's choice if one is given, and
// returns what the server told.
func (g *guest) get(url, address string) (string, error) {
	said, _, err := g.fetch(url, address, false)
	return said, err
}

// fetch does the same and tells the protocols that guest and server saw.
func (g *guest) fetch(url, address string, http2 bool) (said string, protocols [2]string, err error) {
	transport := &http.Transport{
		ForceAttemptHTTP2: http2,
		TLSClientConfig:   &tls.Config{RootCAs: g.roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, _, host string) (net.Conn, error) {
			name, port, err := net.SplitHostPort(host)
			if err != nil {
				return nil, err
			}
			target := address
			if target == "" {
				if target, err = g.resolve(name); err != nil {
					return nil, err
				}
			}
			return g.dial(ctx, "tcp4", net.JoinHostPort(target, port))
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	request, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", protocols, err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", protocols, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return string(body), [2]string{response.Proto, response.Header.Get("X-Protocol")}, err
}

// resolve asks the gateway for a name's first address.
func (g *guest) resolve(name string) (string, error) { return g.resolveBy("udp", name) }

func (g *guest) resolveBy(network, name string) (string, error) {
	if _, err := netip.ParseAddr(name); err == nil {
		return name, nil
	}
	reply, err := g.ask(network, name, dns.TypeA)
	if err != nil {
		return "", err
	}
	for _, record := range reply.Answer {
		if address, ok := record.(*dns.A); ok {
			return address.A.String(), nil
		}
	}
	return "", fmt.Errorf("resolve %s: %s", name, strings.ToLower(dns.RcodeToString[reply.Rcode]))
}

// ask sends the guest's name server a question.
func (g *guest) ask(network, name string, kind uint16) (*dns.Msg, error) {
	conn, err := g.dial(timeout(g.t, impatience), network+"4", GatewayIP+":53")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := &dns.Client{Net: network, Timeout: impatience}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	reply, _, err := client.ExchangeWithConnContext(g.t.Context(), question, &dns.Conn{Conn: conn})
	return reply, err
}
