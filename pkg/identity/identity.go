// Package identity has users, teams, members and invitations, what users sign in with
// (password, second factor, identity provider), and the API keys and access tokens
// that they make.
//
// # Signing in with an identity provider
//
// A Provider is added by Service.AddProvider before the server answers requests. OIDC
// and GitHub are two; an extension adds others. A sign-in has these steps:
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
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/mail"
)

// Sealer encrypts what is stored but must not be readable in the database. What
// was sealed for one purpose does not open for another.
type Sealer interface {
	Seal(plain []byte, purpose string) ([]byte, error)
	Open(sealed []byte, purpose string) ([]byte, error)
}

const (
	// From one network the password of an account may be tried this often, and from
	// all networks together so often.
	passwordBurst       = 10
	passwordInterval    = 30 * time.Second
	allPasswordBurst    = 100
	allPasswordInterval = 10 * time.Second
	// The same for its second factor, which has only a million codes.
	codeBurst       = 10
	codeInterval    = 5 * time.Minute
	allCodeBurst    = 50
	allCodeInterval = time.Minute
	// A team may send this many invitations at once, and then so many an hour.
	teamBurst    = 30
	teamInterval = 2 * time.Minute
	// One account is mailed so many links to a new password, asked for from one
	// network and from all.
	resetBurst       = 3
	resetInterval    = 10 * time.Minute
	allResetBurst    = 20
	allResetInterval = 5 * time.Minute
	// mailQueue is how many mails may wait to be sent.
	mailQueue = 100
)

// Config is what a Service is made of.
type Config struct {
	Pool   *pgxpool.Pool
	Mailer mail.Mailer
	Sealer Sealer
	// PublicURL is what links in mails begin with.
	PublicURL string
	Log       *slog.Logger
	// NewTeamLimits are what a team that a user makes may have; nil is without limits.
	NewTeamLimits *rows.TeamLimit
}

// Service is what can be done with users, teams and their credentials.
type Service struct {
	Config
	queries   *rows.Queries
	passwords *auth.Attempts // by mail address
	codes     *auth.Attempts // by user ID
	resets    *auth.Attempts // by mail address
	byTeam    *auth.Limiter
	hashing   chan struct{} // holds a place for each password that may be hashed at once
	mails     chan mail.Message

	providersMutex sync.RWMutex
	providers      map[string]Provider // by name
}

// New makes a Service. Run sends its mails.
func New(config Config) *Service {
	config.PublicURL = strings.TrimRight(config.PublicURL, "/")
	return &Service{
		Config: config, queries: rows.New(config.Pool),
		passwords: auth.NewAttempts(passwordBurst, passwordInterval, allPasswordBurst, allPasswordInterval),
		codes:     auth.NewAttempts(codeBurst, codeInterval, allCodeBurst, allCodeInterval),
		resets:    auth.NewAttempts(resetBurst, resetInterval, allResetBurst, allResetInterval),
		byTeam:    auth.NewLimiter(teamBurst, teamInterval),
		hashing:   make(chan struct{}, hashingAtOnce),
		mails:     make(chan mail.Message, mailQueue),
		providers: map[string]Provider{},
	}
}

// inTransaction runs work in one transaction.
func (s *Service) inTransaction(ctx context.Context, work func(*rows.Queries) error) error {
	return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error { return work(s.queries.WithTx(tx)) })
}

// errWrongLink is the same for a link that never was, is too old or was used.
var errWrongLink = fault.New(fault.Invalid, "token: the link is not valid any more; ask for a new one")

// orWrongLink turns a row that is not there into errWrongLink.
func orWrongLink(err error, doing string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return errWrongLink
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// isDuplicate says whether a row was refused because there is one like it.
func isDuplicate(err error) bool {
	var refusal *pgconn.PgError
	const uniqueViolation = "23505"
	return errors.As(err, &refusal) && refusal.Code == uniqueViolation
}
