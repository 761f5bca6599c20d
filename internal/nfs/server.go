// Package nfs serves directories to a guest's kernel by NFS, version 3 (RFC 1813),
// over TCP. The client is not trusted: it reaches nothing but its exports, uses bounded
// memory of the host, and cannot end the process. Handles stay valid through pauses of
// the client and restarts of the server.
//
// Mounting (RFC 1813, appendix I) is answered on the same port. There are no locks
// (clients mount with nolock), devices, sockets or pipes, and no setuid bits.
package nfs

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

// Port is where NFS is served.
const Port = 2049

const (
	// maxTransfer is the most bytes that one call reads or writes.
	maxTransfer = 256 << 10
	// maxMessage is more bytes than any valid call has.
	maxMessage = maxTransfer + 4<<10
	// maxConnections is the most connections that a client can have.
	maxConnections = 4
	// parallelism is how many calls of a connection are read ahead, and how many of all
	// a client's connections run at once.
	parallelism = 8
)

// Server serves exports to one client until it is closed.
type Server struct {
	byName   map[string]*Export
	byNumber map[[exportSize]byte]*Export
	// verifier differs after each start of the server: a client that sees another one
	// sends its uncommitted writes again.
	verifier [8]byte
	log      *slog.Logger
	notices  *notice.Notices
	listener net.Listener
	running  chan struct{} // holds a token for each call that runs; not while its answer is sent

	mutex       sync.Mutex
	closed      bool
	connections map[net.Conn]struct{}
	serving     sync.WaitGroup
}

// Serve starts to serve exports, each under its name. The server closes the listener.
func Serve(listener net.Listener, exports []Export, log *slog.Logger) (*Server, error) {
	s := &Server{
		byName: map[string]*Export{}, byNumber: map[[exportSize]byte]*Export{},
		log: log, notices: notice.New(log), listener: listener, running: make(chan struct{}, parallelism), connections: map[net.Conn]struct{}{},
	}
	_, _ = rand.Read(s.verifier[:]) // never fails
	for _, export := range exports {
		if _, twice := s.byName[export.Name]; twice {
			continue
		}
		opened := &export
		if err := opened.open(); err != nil {
			s.closeExports()
			return nil, errors.Join(err, listener.Close())
		}
		s.byName[opened.Name], s.byNumber[opened.number] = opened, opened
	}
	s.serving.Go(s.accept)
	return s, nil
}

// Close ends every connection and waits for the calls under way.
func (s *Server) Close() {
	s.mutex.Lock()
	s.closed = true
	_ = s.listener.Close()
	for conn := range s.connections {
		_ = conn.Close()
	}
	s.mutex.Unlock()
	s.serving.Wait()
	s.closeExports()
}

func (s *Server) closeExports() {
	for _, export := range s.byName {
		_ = export.root.Close()
	}
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("accept a connection for volumes", "error", err)
			}
			return
		}
		if !s.keep(conn) {
			s.notices.Warn("the guest has too many connections to its volumes")
			_ = conn.Close()
			continue
		}
		s.serving.Go(func() {
			defer s.drop(conn)
			s.serve(conn)
		})
	}
}

// keep adds a connection, unless there are too many.
func (s *Server) keep(conn net.Conn) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.closed || len(s.connections) >= maxConnections {
		return false
	}
	s.connections[conn] = struct{}{}
	return true
}

func (s *Server) drop(conn net.Conn) {
	_ = conn.Close()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.connections, conn)
}

// serve answers a connection's calls, each as soon as it is done, in any order.
func (s *Server) serve(conn net.Conn) {
	incoming := bufio.NewReaderSize(conn, 64<<10)
	pending := make(chan struct{}, parallelism)
	var writing sync.Mutex
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		message, err := readRecord(incoming)
		if errors.Is(err, errTooLong) {
			s.notices.Warn("the guest sends a message to its volumes that is too long")
		}
		if err != nil {
			return
		}
		pending <- struct{}{}
		calls.Go(func() {
			defer func() { <-pending }()
			s.running <- struct{}{}
			answer := s.answer(message)
			<-s.running
			if answer == nil {
				s.notices.Warn("the guest sends a message to its volumes that is no call")
				_ = conn.Close()
				return
			}
			writing.Lock()
			defer writing.Unlock()
			if err := writeRecord(conn, answer); err != nil {
				_ = conn.Close()
			}
		})
	}
}

var errTooLong = errors.New("message is too long")

const lastFragment = 1 << 31

// readRecord reads one message (RFC 5531, section 11).
func readRecord(from io.Reader) ([]byte, error) {
	var message []byte
	for {
		var header [4]byte
		if _, err := io.ReadFull(from, header[:]); err != nil {
			return nil, err
		}
		mark := binary.BigEndian.Uint32(header[:])
		length := int(mark &^ lastFragment)
		if length > maxMessage-len(message) || length == 0 && mark&lastFragment == 0 {
			return nil, errTooLong
		}
		message = append(message, make([]byte, length)...)
		if _, err := io.ReadFull(from, message[len(message)-length:]); err != nil {
			return nil, err
		}
		if mark&lastFragment != 0 {
			return message, nil
		}
	}
}

func writeRecord(to io.Writer, answer *writer) error {
	header := binary.BigEndian.AppendUint32(nil, lastFragment|uint32(len(answer.buffer)))
	buffers := net.Buffers{header, answer.buffer}
	_, err := buffers.WriteTo(to)
	return err
}
