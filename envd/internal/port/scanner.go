package port

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// listener is a port on which a server listens on loopback.
type listener struct {
	port uint16
	ipv6 bool
}

// scanner reads the kernel's tables of sockets. It keeps its files and buffers, so that a
// scan allocates nothing.
type scanner struct {
	tables [2]int // descriptors of /proc/net/tcp and tcp6
	buffer []byte
	found  map[listener]struct{}
	open   map[uint16]struct{} // ports with a server on all addresses
}

// maxTableBytes bounds what is read of one table. In a guest with more sockets some are
// missed.
const maxTableBytes = 1 << 20

func openScanner() (*scanner, error) {
	s := &scanner{tables: [2]int{-1, -1}, buffer: make([]byte, 16<<10), found: make(map[listener]struct{}), open: make(map[uint16]struct{})}
	for i, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			s.close()
			return nil, fmt.Errorf("open %s: %w", path, err)
		}
		s.tables[i] = fd
	}
	return s, nil
}

func (s *scanner) close() {
	for _, fd := range s.tables {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// scan fills found with the servers that need a forwarder: one for each port, to IPv4 if a
// server listens on both.
func (s *scanner) scan() error {
	clear(s.found)
	clear(s.open)
	for i, fd := range s.tables {
		if fd < 0 {
			continue
		}
		table, err := s.read(fd)
		if err != nil {
			return err
		}
		s.parse(table, i == 1)
	}
	for server := range s.found {
		_, reachable := s.open[server.port]
		_, twin := s.found[listener{port: server.port}]
		if reachable || server.ipv6 && twin {
			delete(s.found, server)
		}
	}
	return nil
}

// read reads a table from its start into the buffer, which grows to fit it.
func (s *scanner) read(fd int) ([]byte, error) {
	length := 0
	for {
		if length == len(s.buffer) {
			if length >= maxTableBytes {
				return s.buffer[:length], nil
			}
			s.buffer = append(s.buffer, make([]byte, len(s.buffer))...)
		}
		n, err := unix.Pread(fd, s.buffer[length:], int64(length))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return s.buffer[:length], nil
		}
		length += n
	}
}

// Addresses as the kernel writes them: 32-bit words in hexadecimal, each in the
// machine's byte order, here little-endian.
// Source: Documentation/networking/proc_net_tcp.rst in Linux.
var (
	loopbackIPv4   = []byte("7F") // the last two of eight digits: 127.x.x.x
	loopbackIPv6   = []byte("00000000000000000000000001000000")
	loopbackMapped = []byte("0000000000000000FFFF0000") // ::ffff:127.x.x.x
	everywhereIPv4 = []byte("00000000")
	everywhereIPv6 = []byte("00000000000000000000000000000000")
	stateListen    = []byte("0A")
)

// parse adds the listeners of one table. It skips malformed lines.
func (s *scanner) parse(table []byte, ipv6 bool) {
	for len(table) > 0 {
		var line []byte
		if end := bytes.IndexByte(table, '\n'); end >= 0 {
			line, table = table[:end], table[end+1:]
		} else {
			line, table = table, nil
		}
		_, rest := field(line) // the number of the line
		local, rest := field(rest)
		_, rest = field(rest) // the remote address
		state, _ := field(rest)
		if !bytes.Equal(state, stateListen) {
			continue
		}
		colon := bytes.IndexByte(local, ':')
		if colon < 0 {
			continue
		}
		address := local[:colon]
		port, ok := parsePort(local[colon+1:])
		switch {
		case !ok:
		case isLoopback(address, ipv6):
			s.found[listener{port: port, ipv6: ipv6 && bytes.Equal(address, loopbackIPv6)}] = struct{}{}
		case bytes.Equal(address, everywhereIPv4), bytes.Equal(address, everywhereIPv6):
			s.open[port] = struct{}{}
		}
	}
}

func isLoopback(address []byte, ipv6 bool) bool {
	if !ipv6 {
		return len(address) == 8 && bytes.Equal(address[6:], loopbackIPv4)
	}
	if len(address) != 32 {
		return false
	}
	mapped := bytes.Equal(address[:24], loopbackMapped) && bytes.Equal(address[30:], loopbackIPv4)
	return mapped || bytes.Equal(address, loopbackIPv6)
}

// parsePort reads four hexadecimal digits without allocating.
func parsePort(digits []byte) (uint16, bool) {
	if len(digits) != 4 {
		return 0, false
	}
	var port uint16
	for _, digit := range digits {
		switch {
		case digit >= '0' && digit <= '9':
			port = port<<4 | uint16(digit-'0')
		case digit >= 'A' && digit <= 'F':
			port = port<<4 | uint16(digit-'A'+10)
		default:
			return 0, false
		}
	}
	return port, port != 0
}

// field splits off the first word of a line.
func field(line []byte) (word, rest []byte) {
	line = bytes.TrimLeft(line, " ")
	if end := bytes.IndexByte(line, ' '); end >= 0 {
		return line[:end], line[end:]
	}
	return line, nil
}
