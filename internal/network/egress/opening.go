package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// openingTimeout bounds how long a guest may take to send what look must read.
	openingTimeout = 10 * time.Second
	// maxOpening is the size of the longest ClientHello in the shortest records.
	maxOpening = 80 << 10
)

// protocol is the protocol of a connection, by its first byte.
type protocol int

const (
	protocolUnknown protocol = iota
	protocolTLS
	protocolHTTP
)

// opening is a connection whose first bytes were read and can be read again.
type opening struct {
	*net.TCPConn
	read     []byte // what look has read and Read has not returned yet
	protocol protocol
	// serverName is what a TLS client asked for, unchanged; may be empty.
	serverName string
	original   netip.AddrPort // before it was redirected
	done       func()
}

func (o *opening) Read(buffer []byte) (int, error) {
	if len(o.read) > 0 {
		count := copy(buffer, o.read)
		o.read = o.read[count:]
		return count, nil
	}
	return o.TCPConn.Read(buffer)
}

// WriteTo is for io.Copy: the TCP connection's own would skip what look has read.
func (o *opening) WriteTo(writer io.Writer) (int64, error) {
	count, err := writer.Write(o.read)
	o.read = o.read[count:]
	if err != nil {
		return int64(count), err
	}
	rest, err := io.Copy(writer, o.TCPConn)
	return int64(count) + rest, err
}

func (o *opening) Close() error {
	defer o.done()
	return o.TCPConn.Close()
}

// refuse resets a connection, so that the guest gets an error and not an empty answer.
func (o *opening) refuse() {
	_ = o.SetLinger(0) // fails if the guest has closed it
	_ = o.Close()
}

// look reads as much of a connection as it takes to know its protocol and, for TLS, its
// server name. The protocol of a client that waits for the server to send first is
// unknown.
func (o *opening) look(ctx context.Context, patience time.Duration) error {
	if err := o.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	first := make([]byte, 4096)
	count, err := o.TCPConn.Read(first)
	o.read = first[:count]
	switch {
	case count == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return o.SetReadDeadline(time.Time{})
	case count == 0:
		return err
	case first[0] == tlsHandshake:
		o.protocol = protocolTLS
		o.serverName, o.read, err = readServerName(ctx, io.MultiReader(bytes.NewReader(o.read), o.TCPConn))
		if err != nil {
			return err
		}
	case first[0] >= 'A' && first[0] <= 'Z': // each method begins so
		o.protocol = protocolHTTP
	}
	return o.SetReadDeadline(time.Time{})
}

// tlsHandshake is the type of a TLS connection's first record (RFC 8446, section 5.1).
const tlsHandshake = 22

var errHelloRead = errors.New("the ClientHello was read")

// readServerName has crypto/tls read a ClientHello, and stops it there. It
// returns all it took from reader, which may be more.
func readServerName(ctx context.Context, reader io.Reader) (name string, taken []byte, err error) {
	tape := &recorder{reader: io.LimitReader(reader, maxOpening)}
	found := false
	err = tls.Server(tape, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name, found = hello.ServerName, true
			return nil, errHelloRead
		},
	}).HandshakeContext(ctx)
	if found {
		err = nil
	}
	return name, tape.taken.Bytes(), err
}

// recorder is a connection that keeps what was read and drops what is written.
type recorder struct {
	net.Conn
	reader io.Reader
	taken  bytes.Buffer
}

func (r *recorder) Read(buffer []byte) (int, error) {
	count, err := r.reader.Read(buffer)
	r.taken.Write(buffer[:count])
	return count, err
}

func (r *recorder) Write(buffer []byte) (int, error) { return len(buffer), nil }

func (r *recorder) Close() error { return nil }

func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

func (r *recorder) SetDeadline(time.Time) error { return nil }
