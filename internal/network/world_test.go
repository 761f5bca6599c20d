package network

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	worldNamespace = "test-world"
	// Addresses of the public internet, which the world's one machine has all.
	webServer   = "203.0.113.10"
	otherServer = "203.0.113.20"
	evilServer  = "198.51.100.66"
	// A router on the way answers that this host is unreachable.
	unreachable = "203.0.113.99"
	// What is sent here is lost.
	silent = "203.0.113.98"
	// The host's own name server is in a private range, as most are.
	nameServer = "10.99.0.53"
	// Another name server, which no configuration names.
	hiddenNameServer = "10.99.0.54"
	echoPort         = "7000"
)

// insideServers are in ranges that no guest may reach, each with servers like
// the public ones.
var insideServers = []string{
	nameServer, hiddenNameServer, "10.99.0.9", "172.16.99.9", "192.168.99.9", "100.64.99.9", "169.254.169.254", "198.18.0.9", "192.0.0.9",
	"168.63.129.16",
}

// world is everything outside the host, in a namespace joined to the host's.
type world struct {
	roots *x509.CertPool

	mutex sync.Mutex
	names map[string][]string
	asked []string
	heard []string // datagrams
}

func newWorld(t *testing.T) *world {
	t.Helper()
	requireRoot(t)
	w := &world{roots: x509.NewCertPool(), names: map[string][]string{}}
	addresses := append([]string{webServer, otherServer, evilServer}, insideServers...)
	require.NoError(t, inNewNamespace(worldNamespace, func() error { return nil }))
	t.Cleanup(func() { require.NoError(t, deleteNamespace(worldNamespace)) })
	joinWorld(t, addresses)
	require.NoError(t, inNamespace(worldNamespace, func() error { return w.serve(t) }))
	return w
}

// joinWorld routes every address of the world's from the host.
func joinWorld(t *testing.T, addresses []string) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "world"}, PeerName: "host"}
	namespace := openNamespace(t, worldNamespace)
	pair.PeerNamespace = netlink.NsFd(int(namespace))
	require.NoError(t, netlink.LinkAdd(pair))
	t.Cleanup(func() { require.NoError(t, deleteLink("world")) })
	require.NoError(t, bringUp("world", netip.MustParseAddr("192.0.2.1"), 30))
	for _, address := range append(addresses, unreachable, silent) {
		destination := &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(32, 32)}
		require.NoError(t, netlink.RouteAdd(&netlink.Route{Dst: destination, Gw: net.ParseIP("192.0.2.2")}))
	}
	require.NoError(t, inNamespace(worldNamespace, func() error {
		for _, address := range addresses {
			if err := bringUp("lo", netip.MustParseAddr(address), 32); err != nil {
				return err
			}
		}
		if err := bringUp("host", netip.MustParseAddr("192.0.2.2"), 30); err != nil {
			return err
		}
		if err := writeSysctl("net/ipv4/ip_forward", "1"); err != nil {
			return err
		}
		for address, kind := range map[string]int{unreachable: unix.RTN_UNREACHABLE, silent: unix.RTN_BLACKHOLE} {
			destination := &net.IPNet{IP: net.ParseIP(address), Mask: net.CIDRMask(32, 32)}
			if err := netlink.RouteAdd(&netlink.Route{Dst: destination, Type: kind}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// serve starts the same servers on every address: HTTP, HTTPS, and a plain echo.
func (w *world) serve(t *testing.T) error {
	t.Helper()
	ctx := t.Context() // it ends before the clean-up begins
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	for _, address := range []string{nameServer, hiddenNameServer} {
		if err := w.serveNames(t, &serving, address+":53"); err != nil {
			return err
		}
	}
	datagrams, err := net.ListenPacket("udp4", webServer+":"+echoPort)
	if err != nil {
		return err
	}
	t.Cleanup(func() { require.NoError(t, datagrams.Close()) })
	serving.Go(func() { w.listen(&serving, datagrams) })
	listeners := map[string]net.Listener{}
	for _, port := range []string{"80", "443", echoPort} {
		if listeners[port], err = net.Listen("tcp4", "0.0.0.0:"+port); err != nil {
			return err
		}
		t.Cleanup(func() { listeners[port].Close() })
	}
	quiet := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	web := &http.Server{Handler: http.HandlerFunc(tell), ReadHeaderTimeout: time.Minute, ErrorLog: quiet}
	secured := &http.Server{Handler: web.Handler, ReadHeaderTimeout: time.Minute, ErrorLog: quiet, TLSConfig: w.certificates(t)}
	t.Cleanup(func() { web.Close(); secured.Close() })
	serving.Go(func() { _ = web.Serve(listeners["80"]) })
	serving.Go(func() { _ = secured.ServeTLS(listeners["443"], "", "") })
	serving.Go(func() { echo(ctx, &serving, listeners[echoPort]) })
	return nil
}

func (w *world) serveNames(t *testing.T, serving *sync.WaitGroup, address string) error {
	t.Helper()
	packets, err := net.ListenPacket("udp4", address)
	if err != nil {
		return err
	}
	streams, err := net.Listen("tcp4", address)
	if err != nil {
		return errors.Join(err, packets.Close())
	}
	for _, names := range []*dns.Server{{PacketConn: packets}, {Listener: streams}} {
		started := make(chan struct{})
		names.Handler, names.NotifyStartedFunc = dns.HandlerFunc(w.answer), func() { close(started) }
		serving.Go(func() { _ = names.ActivateAndServe() })
		<-started
		t.Cleanup(func() { require.NoError(t, names.Shutdown()) })
	}
	return nil
}

// tell answers with which server this is and what it was sent.
func tell(writer http.ResponseWriter, request *http.Request) {
	local, _ := request.Context().Value(http.LocalAddrContextKey).(net.Addr)
	server, _, _ := net.SplitHostPort(local.String())
	writer.Header().Set("X-Protocol", request.Proto)
	fmt.Fprintf(writer, "%s host=%s rule=%s", server, request.Host, request.Header.Get("X-Rule"))
}

func echo(ctx context.Context, serving *sync.WaitGroup, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			_, _ = io.Copy(conn, conn)
		})
	}
}

// listen keeps what it receives, and answers "flood" until the test ends.
func (w *world) listen(serving *sync.WaitGroup, conn net.PacketConn) {
	packet := make([]byte, 1500)
	for {
		count, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		said := string(packet[:count])
		w.mutex.Lock()
		w.heard = append(w.heard, said)
		w.mutex.Unlock()
		if said == "flood" {
			serving.Go(func() { flood(conn, from) })
		}
	}
}

func flood(conn net.PacketConn, to net.Addr) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := conn.WriteTo([]byte("drop"), to); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

func (w *world) hasHeard(said string) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.Contains(w.heard, said)
}

// certificates are for whatever name is asked for: the guest's trust is not
// what these tests are about.
func (w *world) certificates(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"good.example", "*.wild.example", "api.example", "evil.example"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	w.roots.AddCert(certificate)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// name lets a name resolve to addresses.
func (w *world) name(name string, addresses ...string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.names[dns.Fqdn(name)] = addresses
}

func (w *world) wasAskedFor(part string) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.ContainsFunc(w.asked, func(name string) bool { return strings.Contains(name, part) })
}

func (w *world) answer(writer dns.ResponseWriter, query *dns.Msg) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	question := query.Question[0]
	w.asked = append(w.asked, question.Name)
	reply := new(dns.Msg).SetReply(query)
	for _, address := range w.names[question.Name] {
		reply.Answer = append(reply.Answer, records(question, net.ParseIP(address))...)
		if question.Qtype == dns.TypeMX {
			reply.Extra = append(reply.Extra, records(dns.Question{Name: question.Name, Qtype: dns.TypeA}, net.ParseIP(address))...)
		}
	}
	_ = writer.WriteMsg(reply)
}

// records tell of an address in all ways that a question of a kind can be answered.
func records(question dns.Question, address net.IP) []dns.RR {
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: 60}
	service := dns.SVCB{Hdr: header, Priority: 1, Target: ".", Value: []dns.SVCBKeyValue{&dns.SVCBIPv4Hint{Hint: []net.IP{address}}}}
	switch question.Qtype {
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: header, A: address}}
	case dns.TypeAAAA:
		translated := append(net.ParseIP("64:ff9b::")[:12:12], address.To4()...)
		return []dns.RR{&dns.AAAA{Hdr: header, AAAA: address.To16()}, &dns.AAAA{Hdr: header, AAAA: translated}}
	case dns.TypeSVCB:
		return []dns.RR{&service}
	case dns.TypeHTTPS:
		return []dns.RR{&dns.HTTPS{SVCB: service}}
	case dns.TypeMX:
		return []dns.RR{&dns.MX{Hdr: header, Mx: question.Name}}
	default:
		return nil
	}
}
