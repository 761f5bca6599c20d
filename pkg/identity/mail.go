package identity

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

const (
	mailTimeout = 30 * time.Second
	// lastMails bounds the sending of queued mails when the server stops.
	lastMails = 5 * time.Second
)

// post queues a mail. It does not wait for the mail to be sent: the time that takes
// would tell whether an address has an account.
func (s *Service) post(to, subject, text string) {
	select {
	case s.mails <- mail.Message{To: []string{to}, Subject: subject, Text: text}:
	default:
		s.log.Error("a mail was dropped: too many wait to be sent", "subject", subject)
	}
}

// Run sends mails and deletes expired sessions and tokens until ctx ends. It then sends
// the mails that are queued.
func (s *Service) Run(ctx context.Context) {
	const cleanEvery = time.Hour
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	for {
		select {
		case <-ctx.Done():
			s.sendLast(context.WithoutCancel(ctx))
			return
		case message := <-s.mails:
			s.send(ctx, message)
		case <-clean.C:
			s.deleteExpired(ctx)
		}
	}
}

func (s *Service) sendLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastMails)
	defer cancel()
	for {
		select {
		case message := <-s.mails:
			s.send(ctx, message)
		default:
			return
		}
	}
}

func (s *Service) send(ctx context.Context, message mail.Message) {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	if err := s.mailer.Send(ctx, message); err != nil {
		s.log.Error("a mail was not sent", "subject", message.Subject, "error", err)
	}
}

func (s *Service) deleteExpired(ctx context.Context) {
	if err := s.store.deleteExpired(ctx); err != nil {
		s.log.Warn("expired sessions and tokens were not deleted", "error", err)
	}
}
