package cpserver_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"git.omukk.dev/wrenn/sandbox/pkg/cpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// mailbox keeps the mails that were sent.
type mailbox chan mail.Message

func (m mailbox) Send(_ context.Context, message mail.Message) error {
	m <- message
	return nil
}

// counting counts what another scheduler places.
type counting struct {
	scheduler.Scheduler
	placed atomic.Int32
}

func (c *counting) Place(ctx context.Context, request scheduler.Request, reserve scheduler.Reserve) (uuid.UUID, error) {
	c.placed.Add(1)
	return c.Scheduler.Place(ctx, request, reserve)
}

// corporate is a way to sign in that knows nobody.
type corporate struct{}

func (corporate) Name() string  { return "corporate" }
func (corporate) Title() string { return "Example Corp" }

func (corporate) Begin(context.Context, identity.Attempt) (string, error) {
	return "https://idp.example.com/", nil
}

func (corporate) Finish(context.Context, identity.Attempt, *http.Request) (identity.ExternalIdentity, error) {
	return identity.ExternalIdentity{}, errors.New("not reached")
}

// complete fails the test where a factory lacks something.
func complete(t *testing.T, base cpserver.Base, domain string) {
	t.Helper()
	require.NoError(t, base.Pool.Ping(t.Context()))
	require.Equal(t, domain, base.Config.Domain)
	base.Log.Info("a factory logs")
}

func TestOptions_ReplaceParts(t *testing.T) {
	t.Parallel()
	p := setUp(t, http.NotFoundHandler())
	p.config.Identity.PublicURL = "https://wrenn.example.com"
	mails, chooser := make(mailbox, 1), new(counting)
	p.extras = []cpserver.Option{
		cpserver.WithIdentityProvider(corporate{}),
		cpserver.WithMailer(func(_ context.Context, base cpserver.Base) (mail.Mailer, error) {
			complete(t, base, p.config.Domain)
			return mails, nil
		}),
		cpserver.WithScheduler(func(_ context.Context, base cpserver.Base) (scheduler.Scheduler, error) {
			complete(t, base, p.config.Domain)
			chooser.Scheduler = scheduler.NewSpread(rand.New(rand.NewPCG(1, 2)))
			return chooser, nil
		}),
	}
	p.start(t)

	t.Run("an identity provider", func(t *testing.T) {
		listed := p.do(t, http.MethodGet, "/auth/oidc", "")
		require.JSONEq(t, `[{"name":"corporate","title":"Example Corp"}]`, string(listed.body))
	})
	t.Run("the scheduler", func(t *testing.T) {
		p.create(t, `{"templateID":"base"}`)
		require.Positive(t, chooser.placed.Load(), "a create asks it at least once")
	})
	t.Run("the mailer", func(t *testing.T) {
		p.makeFirstAdmin(t)
		requireStatus(t, http.StatusNoContent, p.send(t, http.MethodPost, "/auth/password/reset-request", `{"email":"ada@example.com"}`, http.Header{}))
		require.Equal(t, []string{"ada@example.com"}, (<-mails).To)
	})
}

func TestOptions_WhoseFactoryFailsEndTheStart(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]cpserver.Option{
		"set up mail": cpserver.WithMailer(func(context.Context, cpserver.Base) (mail.Mailer, error) {
			return nil, errors.New("no licence")
		}),
		"set up the scheduler": cpserver.WithScheduler(func(context.Context, cpserver.Base) (scheduler.Scheduler, error) {
			return nil, errors.New("no licence")
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := setUp(t, http.NotFoundHandler())
			err := cpserver.Run(t.Context(), option, cpserver.WithConfig(p.config), cpserver.WithOutput(p),
				cpserver.WithLogger(slog.New(slog.DiscardHandler)))
			require.ErrorContains(t, err, name+": no licence")
		})
	}
}
