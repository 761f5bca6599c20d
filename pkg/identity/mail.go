package identity

import (
	"context"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

const (
	mailTimeout = 30 * time.Second
	// lastMails is how long the mails that wait when the server stops may take.
	lastMails = 5 * time.Second
)

// post queues a mail. Nobody waits for it: how long that takes would tell a
// stranger whether an address has an account.
func (s *Service) post(to, subject, text string) {
	select {
	case s.mails <- mail.Message{To: []string{to}, Subject: subject, Text: text}:
	default:
		s.Log.Error("a mail was dropped: too many wait to be sent", "subject", subject)
	}
}

// Run sends mails until ctx ends, and deletes what has expired. It then sends the
// mails that wait.
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
	if err := s.Mailer.Send(ctx, message); err != nil {
		s.Log.Error("a mail was not sent", "subject", message.Subject, "error", err)
	}
}

func (s *Service) deleteExpired(ctx context.Context) {
	if err := s.queries.DeleteExpiredSessions(ctx); err != nil {
		s.Log.Warn("delete expired sessions", "error", err)
	}
	if err := s.queries.DeleteExpiredOneTimeTokens(ctx); err != nil {
		s.Log.Warn("delete expired one-time tokens", "error", err)
	}
}
