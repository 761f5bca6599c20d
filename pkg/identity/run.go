package identity

import (
	"context"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// cleanEvery is how often expired sessions and tokens are deleted.
const cleanEvery = time.Hour

// Run sends mails and deletes expired sessions and tokens until ctx ends. It then sends
// the mails that are queued.
func (s *Service) Run(ctx context.Context) {
	var sending sync.WaitGroup
	sending.Go(func() { s.mails.Run(ctx) })
	defer sending.Wait()
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-clean.C:
		}
		if err := s.store.deleteExpired(ctx); err != nil {
			s.log.WarnContext(ctx, "expired sessions and tokens were not deleted", "error", err)
		}
	}
}

func (s *Service) post(to, subject, text string) {
	s.mails.Add(mail.Message{To: []string{to}, Subject: subject, Text: text})
}
