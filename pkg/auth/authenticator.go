package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

const (
	// touchEvery is how exact the time of a credential's last use is.
	touchEvery = time.Minute
	// SessionIdle is how long a session lives that nobody uses.
	SessionIdle = 3 * 24 * time.Hour
	// Who tries wrong credentials from one address may do so this often.
	failureBurst    = 100
	failureInterval = time.Second
	// Of all addresses with too many failures this many credentials are checked at
	// once, and the others wait their turn this long.
	suspectsAtOnce  = 4
	suspectPatience = 5 * time.Second
)

// Authenticator finds the principal behind a credential. It asks the database
// each time, so that a revocation takes effect at once.
type Authenticator struct {
	Queries *rows.Queries
	// AdminToken is what X-Admin-Token must be; empty where nothing is.
	AdminToken string
	// Failures counts wrong credentials by the address that they came from.
	Failures *Limiter
	// suspects has a place for each credential that is checked although too many
	// wrong ones came from its address.
	suspects chan struct{}
}

// NewAuthenticator makes an Authenticator with the usual limits.
func NewAuthenticator(queries *rows.Queries, adminToken string) *Authenticator {
	return &Authenticator{
		Queries: queries, AdminToken: adminToken,
		Failures: NewLimiter(failureBurst, failureInterval), suspects: make(chan struct{}, suspectsAtOnce),
	}
}

// Authorize answers who makes a request, or a fault where the rule does not let
// them in; with fault.Forbidden it says who that was, where it is known.
func (a *Authenticator) Authorize(ctx context.Context, rule Rule, given Credentials) (Principal, error) {
	if rule.IsPublic() {
		return Principal{}, nil
	}
	principal, err := a.identify(ctx, rule, given)
	if err != nil {
		return Principal{}, err
	}
	if !rule.Accepts(principal.Kind) {
		return principal, fault.New(fault.Forbidden, "%s", rule.refusal())
	}
	if rule.audience == admins && !principal.PlatformAdmin {
		return principal, fault.New(fault.Forbidden, "only an admin of this installation may do this")
	}
	if !rule.ForTeam() {
		return principal, nil
	}
	if principal, err = a.inTeam(ctx, principal, given); err != nil {
		return Principal{}, err
	}
	if !principal.May(rule.permission) {
		return principal, fault.New(fault.Forbidden, "the permission %s is needed", rule.permission)
	}
	return principal, nil
}

// identify checks one credential: the first that the rule accepts or, where it
// accepts none of them, the first. One that is wrong is never made up for by
// another.
func (a *Authenticator) identify(ctx context.Context, rule Rule, given Credentials) (Principal, error) {
	kind, ok := given.choose(rule)
	if !ok {
		return Principal{}, fault.New(fault.Unauthenticated, "%s", rule.missing())
	}
	source := kind.source(given.Address)
	limited := a.Failures.Check(source)
	principal, err := a.checkUnless(ctx, limited, kind, given)
	if errors.Is(err, pgx.ErrNoRows) && limited != nil {
		return Principal{}, limited
	}
	if errors.Is(err, pgx.ErrNoRows) {
		// The failure that is one too many is answered like the ones before.
		_ = a.Failures.Take(source)
		return Principal{}, fault.New(fault.Unauthenticated, "the %s is not valid", kind.noun())
	}
	if err != nil && fault.CodeOf(err) == fault.Internal {
		return Principal{}, fmt.Errorf("check %s: %w", kind.noun(), err)
	}
	return principal, err
}

// checkUnless checks a credential even where its address is limited: somebody
// else's mistakes behind the same address must not lock out who makes none, and
// what is random cannot be guessed. The admin's token is chosen by people.
func (a *Authenticator) checkUnless(ctx context.Context, limited error, kind Kind, given Credentials) (Principal, error) {
	if limited == nil {
		return a.check(ctx, kind, given)
	}
	if kind == ByAdminToken {
		return Principal{}, limited
	}
	patience := time.NewTimer(suspectPatience)
	defer patience.Stop()
	select {
	case a.suspects <- struct{}{}:
	case <-patience.C:
		return Principal{}, limited
	case <-ctx.Done():
		return Principal{}, ctx.Err()
	}
	defer func() { <-a.suspects }()
	return a.check(ctx, kind, given)
}

// check answers pgx.ErrNoRows for a credential that is not, or no longer, valid.
func (a *Authenticator) check(ctx context.Context, kind Kind, given Credentials) (Principal, error) {
	switch kind {
	case ByKey:
		return a.key(ctx, given.APIKey)
	case ByAccessToken:
		return a.accessToken(ctx, given.Bearer)
	case BySession:
		return a.session(ctx, given)
	case ByAdminToken:
		if a.AdminToken != "" && Equal(given.AdminToken, a.AdminToken) {
			return Principal{Kind: ByAdminToken, PlatformAdmin: true}, nil
		}
	}
	return Principal{}, pgx.ErrNoRows
}

func (a *Authenticator) key(ctx context.Context, key string) (Principal, error) {
	if !IsKey(key) {
		return Principal{}, pgx.ErrNoRows
	}
	found, err := a.Queries.FindAPIKey(ctx, HashKey(key))
	if err != nil {
		return Principal{}, err
	}
	principal := Principal{Kind: ByKey, TeamID: found.TeamID, KeyID: found.ID, Scopes: scopesOf(found.Scopes)}
	return principal, touch(ctx, found.LastUsedAt, found.ID, a.Queries.TouchAPIKey)
}

// scopesOf keeps nil, which is all scopes, apart from none.
func scopesOf(names []string) []Permission {
	if names == nil {
		return nil
	}
	scopes := make([]Permission, 0, len(names))
	for _, name := range names {
		scopes = append(scopes, Permission(name))
	}
	return scopes
}

func (a *Authenticator) accessToken(ctx context.Context, token string) (Principal, error) {
	if !IsAccessToken(token) {
		return Principal{}, pgx.ErrNoRows
	}
	found, err := a.Queries.FindAccessToken(ctx, HashKey(token))
	if err != nil {
		return Principal{}, err
	}
	principal := Principal{
		Kind: ByAccessToken, UserID: found.UserID, Email: found.Email, TokenID: found.ID, PlatformAdmin: found.PlatformAdmin,
	}
	return principal, touch(ctx, found.LastUsedAt, found.ID, a.Queries.TouchAccessToken)
}

func (a *Authenticator) session(ctx context.Context, given Credentials) (Principal, error) {
	found, err := a.Queries.FindSession(ctx, rows.FindSessionParams{
		TokenHash: HashKey(given.Session), IdleSince: time.Now().Add(-SessionIdle),
	})
	if err != nil {
		return Principal{}, err
	}
	if given.Unsafe && !Equal(given.CSRF, CSRFToken(given.Session)) {
		return Principal{}, fault.New(fault.Forbidden, "the header X-CSRF-Token must be the session's csrfToken")
	}
	principal := Principal{
		Kind: BySession, UserID: found.UserID, Email: found.Email, SessionID: found.ID, PlatformAdmin: found.PlatformAdmin,
	}
	return principal, touch(ctx, &found.LastUsedAt, found.ID, a.Queries.TouchSession)
}

func touch(ctx context.Context, last *time.Time, id uuid.UUID, write func(context.Context, uuid.UUID) error) error {
	if last != nil && time.Since(*last) <= touchEvery {
		return nil
	}
	if err := write(ctx, id); err != nil {
		return fmt.Errorf("note its use: %w", err)
	}
	return nil
}
