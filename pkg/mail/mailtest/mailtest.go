// Package mailtest is an SMTP server on the loopback that keeps the messages it gets, for
// tests.
package mailtest

import (
	"bufio"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patience = 10 * time.Second

// Letter is a message that the server accepted.
type Letter struct {
	From   string
	To     []string
	Header mail.Header
	Body   string
}

// Server is the mail server. It ends with the test.
type Server struct {
	// Address is its host and port.
	Address  string
	listener net.Listener
	letters  chan Letter

	mutex   sync.Mutex
	refusal string
	open    map[net.Conn]bool
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{
		Address: listener.Addr().String(), listener: listener,
		letters: make(chan Letter, 100), open: make(map[net.Conn]bool),
	}
	var running sync.WaitGroup
	running.Go(func() { s.accept(&running) })
	t.Cleanup(func() {
		_ = listener.Close()
		s.hangUp()
		running.Wait()
	})
	return s
}

// Refuse answers recipients with a line such as "550 no such user" from now on; ""
// accepts them again.
func (s *Server) Refuse(answer string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.refusal = answer
}

// Next waits for the next letter.
func (s *Server) Next(t testing.TB) Letter {
	t.Helper()
	select {
	case letter := <-s.letters:
		return letter
	case <-time.After(patience):
		require.FailNow(t, "no mail came")
		return Letter{}
	}
}

func (s *Server) accept(running *sync.WaitGroup) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mutex.Lock()
		s.open[conn] = true
		s.mutex.Unlock()
		running.Go(func() {
			defer func() {
				_ = conn.Close()
				s.mutex.Lock()
				delete(s.open, conn)
				s.mutex.Unlock()
			}()
			_ = s.converse(conn) // a client that hangs up ends its own test
		})
	}
}

func (s *Server) hangUp() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for conn := range s.open {
		_ = conn.Close()
	}
}

func (s *Server) refused() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.refusal
}

func (s *Server) converse(conn net.Conn) error {
	text := textproto.NewConn(conn)
	if err := text.PrintfLine("220 mailtest"); err != nil {
		return err
	}
	var letter Letter
	for {
		line, err := text.ReadLine()
		if err != nil {
			return err
		}
		verb, rest, _ := strings.Cut(line, " ")
		answer := "250 ok"
		switch strings.ToUpper(verb) {
		case "MAIL":
			letter = Letter{From: address(rest)}
		case "RCPT":
			if refusal := s.refused(); refusal != "" {
				answer = refusal
			} else {
				letter.To = append(letter.To, address(rest))
			}
		case "DATA":
			if err := text.PrintfLine("354 go on"); err != nil {
				return err
			}
			if err := s.receive(text, &letter); err != nil {
				return err
			}
		case "QUIT":
			return text.PrintfLine("221 bye")
		}
		if err := text.PrintfLine("%s", answer); err != nil {
			return err
		}
	}
}

func (s *Server) receive(text *textproto.Conn, letter *Letter) error {
	message, err := mail.ReadMessage(bufio.NewReader(text.DotReader()))
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	letter.Header = message.Header
	body := new(strings.Builder)
	if _, err := bufio.NewReader(message.Body).WriteTo(body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	letter.Body = body.String()
	s.letters <- *letter
	return nil
}

// address is what stands between the angle brackets.
func address(text string) string {
	_, text, _ = strings.Cut(text, "<")
	text, _, _ = strings.Cut(text, ">")
	return text
}
