package mail_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// letterbox records recipients. One address fails.
type letterbox struct{ to []string }

func (l *letterbox) Send(_ context.Context, message mail.Message) error {
	if message.To[0] == "broken@example.com" {
		return errors.New("mailbox unavailable")
	}
	l.to = append(l.to, message.To[0])
	return nil
}

func TestQueue_SendsWhatWaitsWhenItEndsAndLogsFailures(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	letters := &letterbox{}
	queue := mail.NewQueue(letters, slog.New(slog.NewTextHandler(&log, nil)))
	queue.Add(mail.Message{To: []string{"ada@example.com"}, Subject: "first", Text: "with a secret link"})
	queue.Add(mail.Message{To: []string{"broken@example.com"}, Subject: "second", Text: "with a secret link"})
	queue.Add(mail.Message{To: []string{"bob@example.com"}, Subject: "third", Text: "with a secret link"})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	queue.Run(ended)
	require.Equal(t, []string{"ada@example.com", "bob@example.com"}, letters.to)
	require.Contains(t, log.String(), "mailbox unavailable")
	require.NotContains(t, log.String(), "secret link")
	for range 101 {
		queue.Add(mail.Message{To: []string{"ada@example.com"}, Subject: "many", Text: ""})
	}
	require.Contains(t, log.String(), "dropped")
}
