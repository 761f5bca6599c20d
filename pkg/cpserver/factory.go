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

// Base is what parts of the server that a module replaces are made from.
type Base struct {
	// Pool is of the control plane's database, which has been migrated.
	Pool   *pgxpool.Pool
	Log    *slog.Logger
	Config config.Config
}

func (s *server) base() Base { return Base{Pool: s.pool, Log: s.log, Config: *s.config} }

// newMailer makes what sends mail. It connects to nothing yet.
func (s *server) newMailer(ctx context.Context) error {
	factory := s.makeMailer
	if factory == nil {
		factory = s.configuredMailer
	}
	mailer, err := factory(ctx, s.base())
	s.mailer = mailer
	return err
}

// configuredMailer sends by the mail server that the configuration names, or prints.
func (s *server) configuredMailer(_ context.Context, base Base) (mail.Mailer, error) {
	settings := base.Config.Mail
	if settings.Address == "" {
		return mail.NewConsole(s.output), nil
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

// newScheduler makes what chooses the hosts of sandboxes.
func (s *server) newScheduler(ctx context.Context) error {
	factory := s.makeScheduler
	if factory == nil {
		factory = spread
	}
	chosen, err := factory(ctx, s.base())
	s.scheduler = chosen
	return err
}

func spread(context.Context, Base) (scheduler.Scheduler, error) {
	return scheduler.NewSpread(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))), nil //nolint:gosec // dice
}
