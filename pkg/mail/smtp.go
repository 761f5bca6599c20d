package mail

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Security is the encryption of the connection to a mail server.
type Security string

// The encryptions.
const (
	StartTLS Security = "starttls" // begins in clear text and must change to TLS
	TLS      Security = "tls"      // TLS from the first byte
	NoTLS    Security = "none"     // for a relay on the same machine
)

// sendTimeout bounds the sending of one message.
const sendTimeout = 30 * time.Second

// SMTPConfig names a mail server.
type SMTPConfig struct {
	// Address is a host and a port.
	Address string
	// Username and Password are empty for a server without authentication.
	Username string
	Password string
	// From is the sender of all messages.
	From     string
	Security Security
	// TLS is nil for the system's roots.
	TLS *tls.Config
}

// SMTP sends messages to a mail server.
type SMTP struct {
	client *gomail.Client
	from   string
}

// NewSMTP checks a configuration. It does not connect yet.
func NewSMTP(config SMTPConfig) (*SMTP, error) {
	host, portText, err := net.SplitHostPort(config.Address)
	if err != nil {
		return nil, fmt.Errorf("mail server %q: %w", config.Address, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("mail server %q: its port is not a number", config.Address)
	}
	if _, err := ParseAddress(config.From); err != nil {
		return nil, fmt.Errorf("sender of mail: %w", err)
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(sendTimeout)}
	switch config.Security {
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLS:
		options = append(options, gomail.WithSSL())
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("security of mail %q: it must be starttls, tls or none", config.Security)
	}
	if config.TLS != nil {
		options = append(options, gomail.WithTLSConfig(config.TLS))
	}
	if config.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(config.Username), gomail.WithPassword(config.Password))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail server %q: %w", config.Address, err)
	}
	return &SMTP{client: client, from: config.From}, nil
}

// Send sends a message to all recipients or to none.
func (s *SMTP) Send(ctx context.Context, message Message) error {
	message, err := clean(message)
	if err != nil {
		return err
	}
	letter := gomail.NewMsg()
	if err := letter.From(s.from); err != nil {
		return fmt.Errorf("sender of mail: %w", err)
	}
	if err := letter.To(message.To...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	letter.Subject(message.Subject)
	letter.SetBodyString(gomail.TypeTextPlain, message.Text)
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := s.client.DialAndSendWithContext(ctx, letter); err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	return nil
}
