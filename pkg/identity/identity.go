// Package identity has users, teams, members and invitations, and what users sign in
// with: password, second factor, identity provider. The keys of programs are in pkg/keys.
//
// # Signing in with an identity provider
//
// A Provider is added by Service.AddProvider before the server answers requests. Those of
// pkg/identity/provider are two; an extension adds others. A sign-in has these steps:
//
//  1. The browser asks for /auth/oidc/{name}/start. Service.BeginExternal makes an
//     Attempt and calls Provider.Begin; the server keeps the attempt in a cookie and
//     redirects the browser to the URL that Begin returned.
//  2. The provider sends the browser to Attempt.CallbackURL, which is
//     /auth/oidc/{name}/callback, with Attempt.State in the parameter "state" or
//     "RelayState".
//  3. Service.FinishExternal compares the state with the one in the cookie and calls
//     Provider.Finish, which checks the answer and returns an ExternalIdentity.
//  4. Service.SignInExternal finds, ties or makes the user and begins a session; where
//     the user has a second factor, it returns a challenge in place of the session.
//
// An extension that verifies people in its own routes calls SignInExternal itself.
package identity

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/identity/passwords"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// Sealer encrypts secrets that are stored. What was sealed for one purpose does not open
// for another.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

// Limits: a burst, and then one each interval. Attempts at an account have a limit for
// each network and one for all networks together.
const (
	passwordBurst       = 10
	passwordInterval    = 30 * time.Second
	allPasswordBurst    = 100
	allPasswordInterval = 10 * time.Second
	// A code has six digits only.
	codeBurst       = 10
	codeInterval    = 5 * time.Minute
	allCodeBurst    = 50
	allCodeInterval = time.Minute
	// The invitations of a team.
	inviteBurst    = 30
	inviteInterval = 2 * time.Minute
	// Requests for a new password.
	resetBurst       = 3
	resetInterval    = 10 * time.Minute
	allResetBurst    = 20
	allResetInterval = 5 * time.Minute
)

// Config are the settings of a Service.
type Config struct {
	// PublicURL is what links in mails begin with.
	PublicURL string
	// NewTeamLimits limit the teams that users make. The zero value is without limits.
	NewTeamLimits config.TeamLimits
	// LocalSignIn says whether LocalSignInLink makes links.
	LocalSignIn bool
}

// Service changes users, teams and their credentials.
type Service struct {
	pool   *pgxpool.Pool
	store  *store // by the pool, for what needs no transaction
	sealer Sealer
	log    *slog.Logger
	config Config

	passwords *ratelimit.Attempts // by e-mail address
	codes     *ratelimit.Attempts // by user ID
	resets    *ratelimit.Attempts // by e-mail address
	invites   *ratelimit.Limiter  // by team ID
	hasher    *passwords.Hasher
	mails     *mail.Queue

	providersMutex sync.RWMutex
	providers      map[string]Provider // by name
}

// New makes a Service. Run sends its mails.
func New(pool *pgxpool.Pool, mailer mail.Mailer, sealer Sealer, log *slog.Logger, config Config) *Service {
	config.PublicURL = strings.TrimRight(config.PublicURL, "/")
	return &Service{
		pool: pool, store: newStore(pool), sealer: sealer, log: log, config: config,
		passwords: ratelimit.NewAttempts(passwordBurst, passwordInterval, allPasswordBurst, allPasswordInterval),
		codes:     ratelimit.NewAttempts(codeBurst, codeInterval, allCodeBurst, allCodeInterval),
		resets:    ratelimit.NewAttempts(resetBurst, resetInterval, allResetBurst, allResetInterval),
		invites:   ratelimit.NewLimiter(inviteBurst, inviteInterval),
		hasher:    passwords.NewHasher(),
		mails:     mail.NewQueue(mailer, log),
		providers: map[string]Provider{},
	}
}
