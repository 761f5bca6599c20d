package identity

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// letterbox keeps what was sent, but for one address.
type letterbox struct{ to []string }

func (l *letterbox) Send(_ context.Context, message mail.Message) error {
	if message.To[0] == "broken@example.com" {
		return errors.New("mailbox unavailable")
	}
	l.to = append(l.to, message.To[0])
	return nil
}

func TestRun_SendsTheMailsThatWaitWhenItEndsAndSaysWhichFailed(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	letters := &letterbox{}
	s := New(nil, letters, nil, slog.New(slog.NewTextHandler(&log, nil)), Config{})
	s.post("ada@example.com", "first", "with a secret link")
	s.post("broken@example.com", "second", "with a secret link")
	s.post("bob@example.com", "third", "with a secret link")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.Run(ended)
	require.Equal(t, []string{"ada@example.com", "bob@example.com"}, letters.to)
	require.Contains(t, log.String(), "mailbox unavailable")
	require.NotContains(t, log.String(), "secret link")
	for range mailQueue + 1 {
		s.post("ada@example.com", "many", "")
	}
	require.Contains(t, log.String(), "dropped")
}
