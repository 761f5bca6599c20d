package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

// clientHello is what a real client begins with.
func clientHello(t testing.TB, name string) []byte {
	t.Helper()
	tape := &recorder{reader: bytes.NewReader(nil)}
	written := &keeper{recorder: tape}
	err := tls.Client(written, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}).HandshakeContext(t.Context())
	require.Error(t, err)
	return written.Bytes()
}

type keeper struct {
	*recorder
	bytes.Buffer
}

func (k *keeper) Read(buffer []byte) (int, error)  { return k.recorder.Read(buffer) }
func (k *keeper) Write(buffer []byte) (int, error) { return k.Buffer.Write(buffer) }

func TestReadServerName_GivesBackEveryByte(t *testing.T) {
	hello := append(clientHello(t, "good.example"), "early data"...)
	for _, chunk := range []int{1, 7, len(hello)} {
		reader := bytes.NewReader(hello)
		name, taken, err := readServerName(t.Context(), readerOf(func(p []byte) (int, error) { return reader.Read(p[:min(len(p), chunk)]) }))
		require.NoError(t, err)
		require.Equal(t, "good.example", name)
		rest, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.Equal(t, hello, append(taken, rest...))
	}
}

type readerOf func([]byte) (int, error)

func (r readerOf) Read(p []byte) (int, error) { return r(p) }

func TestReadServerName_StopsReadingWhatNeverEnds(t *testing.T) {
	record := append([]byte{tlsHandshake, 3, 1, 0, 1}, 0) // one byte of a handshake message, again and again
	total := 0
	_, taken, err := readServerName(t.Context(), readerOf(func(p []byte) (int, error) {
		for i := range p {
			p[i] = record[total%len(record)]
			total++
		}
		return len(p), nil
	}))
	require.Error(t, err)
	require.LessOrEqual(t, len(taken), maxOpening)
}

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer listener.Close()
	client, err = net.DialTCP("tcp4", nil, listener.Addr().(*net.TCPAddr))
	require.NoError(t, err)
	server, err = listener.AcceptTCP()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestOpening_WaitsForNoSlowClient(t *testing.T) {
	for said, want := range map[string]error{"": nil, "\x16": os.ErrDeadlineExceeded, "\x16\x03\x01\x02": os.ErrDeadlineExceeded} {
		client, server := connected(t)
		_, err := io.WriteString(client, said)
		require.NoError(t, err)
		opened := &opening{TCPConn: server, done: func() {}}
		require.ErrorIs(t, opened.look(t.Context(), 30*time.Millisecond), want, "%q", said)
		require.Equal(t, protocolUnknown, opened.protocol&^protocolTLS, "%q", said)
	}
}

func TestGateway_RefusesAHeadWithoutEnd(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp4", w.door.String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: good.example\r\nX: "+strings.Repeat("x", 2*maxHead))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
}

func TestGateway_HoldsOnlySoManyConnections(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	var held []net.Conn
	// hold opens a connection and says how it ended, if it did.
	hold := func(patience time.Duration) error {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp4", w.door.String())
		if err != nil {
			return err
		}
		t.Cleanup(func() { conn.Close() })
		held = append(held, conn)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	for range maxConnections {
		require.ErrorIs(t, hold(0), os.ErrDeadlineExceeded)
	}
	for range 3 {
		require.ErrorIs(t, hold(5*time.Second), syscall.ECONNRESET)
	}
	w.requireWarned("too many connections")
	require.NoError(t, held[0].Close())
	require.Eventually(t, func() bool {
		return errors.Is(hold(20*time.Millisecond), os.ErrDeadlineExceeded)
	}, 5*time.Second, time.Millisecond, "there is room again")
}

func TestGateway_PassesNoHeadWithoutEndToTheGuest(t *testing.T) {
	w := newWorld(t, onlyDomains("good.example"))
	w.name("good.example", "203.0.113.1")
	w.http("203.0.113.1:80", "good", false)
	status, header := get(t, w.guest("203.0.113.1:80", nil), "http://good.example/head")
	require.Equal(t, http.StatusBadGateway, status)
	require.Empty(t, header.Get("X-Much"))
}

// TestGateway_CarriesOnlySoManyRequests has a guest ask for more on six connections
// than it may.
func TestGateway_CarriesOnlySoManyRequests(t *testing.T) {
	w := newWorld(t, Spec{Rules: map[string][]Rule{"api.example": secretRule()}})
	w.name("api.example", "203.0.113.1")
	w.http("203.0.113.1:443", "api.example", true)
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(w.authority.Certificate()))
	ctx, leave := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	t.Cleanup(asking.Wait)
	t.Cleanup(leave)
	statuses := make(chan int, maxRequests+maxStreams)
	for range maxRequests/maxStreams + 1 {
		client := w.guest("203.0.113.1:443", trusted)
		_, header := get(t, client, "https://api.example/")
		require.Equal(t, "secret", header.Get("X-Got-Rule"))
		for range maxStreams {
			asking.Go(func() {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/wait", nil)
				if err != nil {
					return
				}
				if response, err := client.Do(request); err == nil {
					response.Body.Close()
					statuses <- response.StatusCode
				}
			})
		}
	}
	for range (maxRequests/maxStreams+1)*maxStreams - maxRequests {
		select {
		case status := <-statuses:
			require.Equal(t, http.StatusServiceUnavailable, status)
		case <-time.After(10 * time.Second):
			t.Fatal("more requests are carried than may be")
		}
	}
	w.requireWarned("too many requests")
	leave()
	asking.Wait()
	client := w.guest("203.0.113.1:443", trusted)
	require.Eventually(t, func() bool {
		status, _ := get(t, client, "https://api.example/")
		return status == http.StatusOK
	}, 5*time.Second, time.Millisecond, "there is room again")
}

func FuzzReadServerName(f *testing.F) {
	f.Add(clientHello(f, "good.example"))
	f.Add(clientHello(f, ""))
	f.Add([]byte{tlsHandshake, 3, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, input []byte) {
		_, taken, _ := readServerName(t.Context(), bytes.NewReader(input))
		require.True(t, bytes.HasPrefix(input, taken))
	})
}

// fuzzServer answers under a policy, from a name server that says what is given.
func fuzzServer(upstream func(question []byte) []byte) *nameServer {
	policy := mustParse(Spec{DenyInternet: true, AllowOut: []string{"good.example", "*.wild.example"}})
	dial := func(context.Context, string, string) (net.Conn, error) { return &cannedConn{answer: upstream}, nil }
	return newNameServer(func() *Policy { return policy }, newResolver(netip.MustParseAddrPort("203.0.113.53:53"), dial),
		slog.New(slog.DiscardHandler), notice.New(slog.New(slog.DiscardHandler)))
}

// cannedConn looks like UDP: what is written is answered once.
type cannedConn struct {
	net.PacketConn
	answer func([]byte) []byte
	ready  []byte
}

func (c *cannedConn) Write(p []byte) (int, error) {
	c.ready = c.answer(p)
	return len(p), nil
}

func (c *cannedConn) Read(p []byte) (int, error) {
	if c.ready == nil {
		return 0, io.EOF
	}
	count := copy(p, c.ready)
	c.ready = nil
	return count, nil
}
func (c *cannedConn) Close() error                     { return nil }
func (c *cannedConn) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (c *cannedConn) RemoteAddr() net.Addr             { return &net.UDPAddr{} }
func (c *cannedConn) SetDeadline(time.Time) error      { return nil }
func (c *cannedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *cannedConn) SetWriteDeadline(time.Time) error { return nil }

func packed(t testing.TB, message *dns.Msg) []byte {
	t.Helper()
	wire, err := message.Pack()
	require.NoError(t, err)
	return wire
}

func FuzzNameServer_Questions(f *testing.F) {
	f.Add(packed(f, new(dns.Msg).SetQuestion("good.example.", dns.TypeA)))
	f.Add(packed(f, new(dns.Msg).SetQuestion("evil.example.", dns.TypeTXT)))
	f.Add(packed(f, new(dns.Msg).SetQuestion("a.wild.example.", dns.TypeHTTPS).SetEdns0(4096, true)))
	f.Fuzz(func(t *testing.T, wire []byte) {
		query := new(dns.Msg)
		if query.Unpack(wire) != nil || len(query.Question) != 1 {
			return // the server's own library answers these
		}
		server := fuzzServer(func(question []byte) []byte {
			asked := new(dns.Msg)
			require.NoError(t, asked.Unpack(question))
			name, ok := normaliseDomain(asked.Question[0].Name)
			require.True(t, ok)
			require.True(t, name == "good.example" || len(name) > len(".wild.example") && name[len(name)-len(".wild.example"):] == ".wild.example", name)
			return packed(t, new(dns.Msg).SetReply(asked))
		})
		_, err := server.answer(t.Context(), query).Pack()
		require.NoError(t, err)
	})
}

func FuzzNameServer_Replies(f *testing.F) {
	reply := new(dns.Msg).SetQuestion("good.example.", dns.TypeA)
	reply.Response = true
	for _, address := range []string{"203.0.113.1", "10.0.0.1"} {
		record, err := dns.NewRR("good.example. 60 IN A " + address)
		require.NoError(f, err)
		reply.Answer = append(reply.Answer, record)
	}
	f.Add(packed(f, reply))
	f.Fuzz(func(t *testing.T, wire []byte) {
		server := fuzzServer(func(question []byte) []byte {
			if len(wire) < 2 {
				return wire
			}
			return append(append([]byte{}, question[:2]...), wire[2:]...) // else it is not even read
		})
		answer := server.answer(t.Context(), new(dns.Msg).SetQuestion("good.example.", dns.TypeA))
		for _, record := range append(answer.Answer, answer.Ns...) {
			if record, ok := record.(*dns.A); ok {
				_, public := publicAddress(record)
				require.True(t, public)
			}
		}
		addresses, _ := server.resolver.pinned("good.example", time.Now())
		for _, address := range addresses {
			require.False(t, Forbidden.Contains(address))
		}
	})
}
