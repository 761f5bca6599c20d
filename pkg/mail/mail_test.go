package mail_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/mail/mailtest"
)

func newSMTP(t *testing.T, server *mailtest.Server) *mail.SMTP {
	t.Helper()
	mailer, err := mail.NewSMTP(mail.SMTPConfig{Address: server.Address, From: "Wrenn <wrenn@example.com>", Security: mail.NoTLS})
	require.NoError(t, err)
	return mailer
}

func TestSMTP_HandsAMessageToTheServer(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	err := newSMTP(t, server).Send(t.Context(), mail.Message{
		To: []string{"ada@example.com", "Bob <bob@example.com>"}, Subject: "Welcome", Text: "Hello.\n.\nBye.",
	})
	require.NoError(t, err)
	letter := server.Next(t)
	require.Equal(t, "wrenn@example.com", letter.From)
	require.Equal(t, []string{"ada@example.com", "bob@example.com"}, letter.To)
	require.Equal(t, "Welcome", letter.Header.Get("Subject"))
	require.Equal(t, "Hello.\n.\nBye.", strings.TrimRight(letter.Body, "\n"))
}

func TestSMTP_KeepsASubjectFromAddingHeaders(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	err := newSMTP(t, server).Send(t.Context(), mail.Message{
		To: []string{"ada@example.com"}, Subject: "Hi\r\nBcc: eve@example.com\r\n\r\nbody", Text: "x",
	})
	require.NoError(t, err)
	letter := server.Next(t)
	require.Equal(t, []string{"ada@example.com"}, letter.To)
	require.Empty(t, letter.Header.Get("Bcc"))
	require.Equal(t, "Hi Bcc: eve@example.com body", letter.Header.Get("Subject"))
}

func TestSMTP_SaysWhatTheServerRefused(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	server.Refuse("550 no such user")
	err := newSMTP(t, server).Send(t.Context(), mail.Message{To: []string{"ada@example.com"}, Text: "x"})
	require.ErrorContains(t, err, "no such user")
}

func TestSMTP_InsistsOnTLSWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	server := mailtest.Start(t)
	mailer, err := mail.NewSMTP(mail.SMTPConfig{Address: server.Address, From: "wrenn@example.com", Security: mail.StartTLS})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.Error(t, mailer.Send(ctx, mail.Message{To: []string{"ada@example.com"}, Text: "x"}))
}

func TestSend_RefusesWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	console := mail.NewConsole(new(bytes.Buffer))
	for name, to := range map[string][]string{
		"no recipient": nil, "no address": {"ada"}, "a line break": {"ada@example.com\r\nDATA"}, "two in one": {"a@example.com, b@example.com"},
	} {
		require.ErrorIs(t, console.Send(t.Context(), mail.Message{To: to}), mail.ErrInvalid, name)
	}
}

func TestConsole_ShowsTheMessage(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	require.NoError(t, mail.NewConsole(out).Send(t.Context(), mail.Message{
		To: []string{"ada@example.com"}, Subject: "Invitation", Text: "https://wrenn.example/join\n",
	}))
	require.Equal(t, "--- mail to ada@example.com: Invitation\nhttps://wrenn.example/join\n---\n", out.String())
}

func TestNewSMTP_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := mail.SMTPConfig{Address: "localhost:25", From: "a@example.com", Security: mail.TLS}
	for name, change := range map[string]func(*mail.SMTPConfig){
		"mail server":      func(c *mail.SMTPConfig) { c.Address = "localhost" },
		"port":             func(c *mail.SMTPConfig) { c.Address = "localhost:smtp" },
		"sender of mail":   func(c *mail.SMTPConfig) { c.From = "nobody" },
		"security of mail": func(c *mail.SMTPConfig) { c.Security = "maybe" },
	} {
		config := good
		change(&config)
		_, err := mail.NewSMTP(config)
		require.ErrorContains(t, err, name)
	}
	_, err := mail.NewSMTP(good)
	require.NoError(t, err)
}
