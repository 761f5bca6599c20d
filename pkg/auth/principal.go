package auth

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// Kind is the kind of credential that a principal authenticated with.
type Kind string

// The kinds of principals.
const (
	ByKey         Kind = "api_key"
	BySession     Kind = "session"
	ByAccessToken Kind = "access_token"
	ByAdminToken  Kind = "admin_token"
)

// noun is the credential's name in messages.
func (k Kind) noun() string {
	switch k {
	case ByKey:
		return "API key"
	case ByAccessToken:
		return "access token"
	case BySession:
		return "session"
	default:
		return "admin token"
	}
}

// source is the key by which failures of the credential are limited. The admin token has
// keys of its own, so that wrong API keys do not lock the admin out.
func (k Kind) source(address string) string {
	if k == ByAdminToken {
		return k.noun() + " from " + ratelimit.Network(address)
	}
	return ratelimit.Network(address)
}

// Principal is the authenticated sender of a request. It is not kept for longer than the
// request.
type Principal struct {
	Kind Kind
	// TeamID is the team of the request, zero where there is none.
	TeamID uuid.UUID
	// KeyID is the API key, zero for others.
	KeyID uuid.UUID
	// UserID and Email are the user's, zero for API keys and the admin token.
	UserID uuid.UUID
	Email  string
	// TokenID is the access token, zero for others.
	TokenID uuid.UUID
	// SessionID is the session, zero for others.
	SessionID uuid.UUID
	// Role is the user's role in the team; Owner for admins of the installation; "" for
	// API keys.
	Role Role
	// Scopes limit an API key; nil means all that a key can have.
	Scopes []Permission
	// PlatformAdmin is true for admins of the installation.
	PlatformAdmin bool
}

// May says whether the principal has a permission in its team.
func (p Principal) May(permission Permission) bool {
	if p.Kind != ByKey {
		return p.Role.Has(permission)
	}
	if p.Scopes == nil {
		return IsScope(string(permission))
	}
	return slices.Contains(p.Scopes, permission) && IsScope(string(permission))
}

type principalKey struct{}

// WithPrincipal adds the principal to a request's context.
func WithPrincipal(ctx context.Context, principal Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, principal)
}

// PrincipalOf returns the principal of a request that has passed authentication.
func PrincipalOf(ctx context.Context) Principal {
	principal, _ := ctx.Value(principalKey{}).(Principal)
	return principal
}
