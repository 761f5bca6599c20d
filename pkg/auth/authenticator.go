package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

const (
	// touchEvery is the resolution of the time of a credential's last use.
	touchEvery = time.Minute
	// SessionIdle is how long a session lives without being used.
	SessionIdle = 3 * 24 * time.Hour
	// failureBurst and failureInterval limit wrong credentials from one address.
	failureBurst    = 100
	failureInterval = time.Second
	// suspectsAtOnce is how many credentials are checked at a time from addresses with
	// too many wrong ones. Others wait for suspectPatience at most.
	suspectsAtOnce  = 4
	suspectPatience = 5 * time.Second
)

// Authenticator finds the principal of a credential. It reads the database each time, so
// that a revocation holds for the next request.
type Authenticator struct {
	// Failures counts wrong credentials by the address that they came from.
	Failures *ratelimit.Limiter

	store      store
	adminToken string
	// suspects has an element for each credential that is checked although too many
	// wrong ones came from its address.
	suspects chan struct{}
}

// NewAuthenticator makes an Authenticator. adminToken is what X-Admin-Token must be; ""
// where there is no such token.
func NewAuthenticator(conn db.Conn, adminToken string) *Authenticator {
	return &Authenticator{
		Failures: ratelimit.NewLimiter(failureBurst, failureInterval), store: newStore(conn), adminToken: adminToken,
		suspects: make(chan struct{}, suspectsAtOnce),
	}
}

// Authorize returns the principal of a request, or a fault where the rule refuses it.
// With fault.Forbidden it returns the refused principal too, where it is known.
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

// identify checks one credential: the first that the rule accepts or, where it accepts
// none of them, the first. A right one does not make up for a wrong one.
func (a *Authenticator) identify(ctx context.Context, rule Rule, given Credentials) (Principal, error) {
	kind, ok := given.choose(rule)
	if !ok {
		return Principal{}, fault.New(fault.Unauthenticated, "%s", rule.missing())
	}
	source := kind.source(given.Address)
	limited := a.Failures.Check(source)
	principal, err := a.checkUnless(ctx, limited, kind, given)
	if errors.Is(err, db.ErrNoRow) && limited != nil {
		return Principal{}, limited
	}
	if errors.Is(err, db.ErrNoRow) {
		// The answer to the failure that exhausts the limit is like those before.
		_ = a.Failures.Take(source)
		return Principal{}, fault.New(fault.Unauthenticated, "the %s is not valid", kind.noun())
	}
	if err != nil && fault.CodeOf(err) == fault.Internal {
		return Principal{}, fmt.Errorf("check %s: %w", kind.noun(), err)
	}
	return principal, err
}

// checkUnless checks a credential even where its address is limited: wrong credentials
// of others behind the same address must not lock out right ones, and random credentials
// cannot be guessed. The admin token is chosen by people, so it is not checked then.
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

// check returns db.ErrNoRow for a credential that is not valid.
func (a *Authenticator) check(ctx context.Context, kind Kind, given Credentials) (Principal, error) {
	switch kind {
	case ByKey:
		if IsKey(given.APIKey) {
			return a.store.key(ctx, HashKey(given.APIKey))
		}
	case ByAccessToken:
		if IsAccessToken(given.Bearer) {
			return a.store.accessToken(ctx, HashKey(given.Bearer))
		}
	case BySession:
		return a.session(ctx, given)
	case ByAdminToken:
		if a.adminToken != "" && Equal(given.AdminToken, a.adminToken) {
			return Principal{Kind: ByAdminToken, PlatformAdmin: true}, nil
		}
	}
	return Principal{}, db.ErrNoRow
}

func (a *Authenticator) session(ctx context.Context, given Credentials) (Principal, error) {
	principal, used, err := a.store.session(ctx, HashKey(given.Session), time.Now().Add(-SessionIdle))
	if err != nil {
		return Principal{}, err
	}
	if given.Unsafe && !Equal(given.CSRF, CSRFToken(given.Session)) {
		return Principal{}, fault.New(fault.Forbidden, "the header X-CSRF-Token must be the session's csrfToken")
	}
	return principal, used()
}
