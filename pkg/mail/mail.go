// Package mail sends letters to people: invitations, password resets and
// notifications. Without a mail server they are shown on the console, so that a
// new installation works at once.
package mail

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
)

// maxSubjectBytes keeps a subject within one line that mail programs show.
const maxSubjectBytes = 250

// Message is one letter in plain text.
type Message struct {
	// To are the recipients' addresses.
	To      []string
	Subject string
	Text    string
}

// Mailer sends messages. A message is sent when Send returns nil: the server has
// taken it.
type Mailer interface {
	Send(ctx context.Context, message Message) error
}

// ErrInvalid says that a message cannot be sent as it is, however often one tries.
var ErrInvalid = errors.New("message cannot be sent")

// ParseAddress returns the bare address of text such as "Ada <ada@example.com>".
func ParseAddress(text string) (string, error) {
	parsed, err := mail.ParseAddress(text)
	if err != nil {
		return "", fmt.Errorf("%w: %q is not a mail address", ErrInvalid, text)
	}
	return parsed.Address, nil
}

// clean checks a message and makes its subject one line.
func clean(message Message) (Message, error) {
	if len(message.To) == 0 {
		return message, fmt.Errorf("%w: it has no recipient", ErrInvalid)
	}
	recipients := make([]string, 0, len(message.To))
	for _, to := range message.To {
		address, err := ParseAddress(to)
		if err != nil {
			return message, err
		}
		recipients = append(recipients, address)
	}
	message.To = recipients
	message.Subject = strings.Join(strings.Fields(message.Subject), " ")
	if len(message.Subject) > maxSubjectBytes {
		message.Subject = strings.ToValidUTF8(message.Subject[:maxSubjectBytes], "") + "…"
	}
	return message, nil
}
