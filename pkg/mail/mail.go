// Package mail sends invitations, password resets and notifications: by SMTP, or to the
// console where no mail server is configured.
package mail

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
)

// maxSubjectBytes bounds a subject to what mail programs show in one line.
const maxSubjectBytes = 250

// Message is a mail in plain text.
type Message struct {
	// To are the recipients' addresses.
	To      []string
	Subject string
	Text    string
}

// Mailer sends messages. Send returns nil when the mail server has accepted the message.
type Mailer interface {
	Send(ctx context.Context, message Message) error
}

// ErrInvalid says that a message can never be sent as it is.
var ErrInvalid = errors.New("message cannot be sent")

// ParseAddress returns the bare address of text such as "Ada <ada@example.com>".
func ParseAddress(text string) (string, error) {
	parsed, err := mail.ParseAddress(text)
	if err != nil {
		return "", fmt.Errorf("%w: %q is not a mail address", ErrInvalid, text)
	}
	return parsed.Address, nil
}

// clean checks the recipients and makes the subject one short line.
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
