// Package sockstest is a SOCKS5 proxy for tests (RFC 1928, RFC 1929): it connects, and
// keeps what it was asked for.
package sockstest

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// Server is a proxy, which wants credentials if it has a Username.
type Server struct {
	Username, Password string
	// Dial connects to a target, a name or an address with its port.
	Dial func(target string) (net.Conn, error)

	mutex   sync.Mutex
	targets []string
	refused int
}

// Serve takes connections until the test ends.
func (s *Server) Serve(t testing.TB, listener net.Listener) {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { listener.Close() })
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(t.Context(), conn) })
		}
	})
}

// Took returns the targets that were asked for since it was called last.
func (s *Server) Took() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	taken := s.targets
	s.targets = nil
	return taken
}

// Refused is how many clients had other credentials.
func (s *Server) Refused() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.refused
}

// Of the protocol: its versions, methods of authentication, commands, kinds of
// addresses and answers.
const (
	version            = 5
	credentialsVersion = 1
	noCredentials      = 0
	byCredentials      = 2
	noneAcceptable     = 0xff
	connect            = 1
	byAddress          = 1
	byName             = 3
	succeeded          = 0
	connectionRefused  = 5
)

func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	reader := bufio.NewReader(conn)
	target, ok := s.greet(conn, reader)
	if !ok {
		return
	}
	s.mutex.Lock()
	s.targets = append(s.targets, target)
	s.mutex.Unlock()
	server, err := s.Dial(target)
	if err != nil {
		_, _ = conn.Write([]byte{version, connectionRefused, 0, byAddress, 0, 0, 0, 0, 0, 0})
		return
	}
	defer server.Close()
	_, _ = conn.Write([]byte{version, succeeded, 0, byAddress, 0, 0, 0, 0, 0, 0})
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(server, reader)
		if stream, ok := server.(*net.TCPConn); ok {
			_ = stream.CloseWrite()
		}
	})
	_, _ = io.Copy(conn, server)
	conn.Close()
	copying.Wait()
}

func (s *Server) greet(conn net.Conn, reader *bufio.Reader) (target string, ok bool) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(reader, head); err != nil || head[0] != version {
		return "", false
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(reader, methods); err != nil {
		return "", false
	}
	method := byte(noCredentials)
	if s.Username != "" {
		method = byCredentials
	}
	if !slices.Contains(methods, method) {
		_, _ = conn.Write([]byte{version, noneAcceptable})
		return "", false
	}
	_, _ = conn.Write([]byte{version, method})
	if method == byCredentials && !s.authenticate(conn, reader) {
		return "", false
	}
	return readTarget(reader)
}

func (s *Server) authenticate(conn net.Conn, reader *bufio.Reader) bool {
	_, _ = reader.ReadByte() // the version of credentials
	username, password := readString(reader), readString(reader)
	if username == s.Username && password == s.Password {
		_, _ = conn.Write([]byte{credentialsVersion, succeeded})
		return true
	}
	s.mutex.Lock()
	s.refused++
	s.mutex.Unlock()
	_, _ = conn.Write([]byte{credentialsVersion, connectionRefused})
	return false
}

func readString(reader *bufio.Reader) string {
	length, _ := reader.ReadByte()
	text := make([]byte, length)
	_, _ = io.ReadFull(reader, text)
	return string(text)
}

func readTarget(reader *bufio.Reader) (target string, ok bool) {
	request := make([]byte, 4)
	if _, err := io.ReadFull(reader, request); err != nil || request[1] != connect {
		return "", false
	}
	var host string
	switch request[3] {
	case byAddress:
		address := make([]byte, 4)
		_, _ = io.ReadFull(reader, address)
		host = netip.AddrFrom4([4]byte(address)).String()
	case byName:
		host = readString(reader)
	default:
		return "", false
	}
	port := make([]byte, 2)
	_, err := io.ReadFull(reader, port)
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port)))), err == nil
}
