package cpserver

import (
	"context"
	"log/slog"
	"math/rand/v2"

	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// Base is the argument of functions that make a replaced part of the server.
type Base struct {
	// Pool is of the control plane's database, which is migrated.
	Pool   *pgxpool.Pool
	Log    *slog.Logger
	Config config.Config
}

// newMailer makes the mailer: the replaced one, the configured mail server's, or one that
// prints. It does not connect yet.
func (o *options) newMailer(ctx context.Context, base Base) (mail.Mailer, error) {
	if o.makeMailer != nil {
		return o.makeMailer(ctx, base)
	}
	settings := base.Config.Mail
	if settings.Address == "" {
		return mail.NewConsole(o.output), nil
	}
	password, err := readSecretFile("WRENN_SMTP_PASSWORD_FILE", settings.PasswordFile)
	if err != nil {
		return nil, err
	}
	return mail.NewSMTP(mail.SMTPConfig{
		Address: settings.Address, Username: settings.Username, Password: password,
		From: settings.From, Security: mail.Security(settings.Security),
	})
}

// newScheduler makes the scheduler: the replaced one, or one that spreads sandboxes evenly.
func (o *options) newScheduler(ctx context.Context, base Base) (scheduler.Scheduler, error) {
	if o.makeScheduler != nil {
		return o.makeScheduler(ctx, base)
	}
	return scheduler.NewSpread(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))), nil //nolint:gosec // not for secrets
}
