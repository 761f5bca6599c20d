package auth

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

// Kind is how a principal has proved who it is.
type Kind string

// The kinds of principals.
const (
	ByKey         Kind = "api_key"
	BySession     Kind = "session"
	ByAccessToken Kind = "access_token"
	ByAdminToken  Kind = "admin_token"
)

// noun is what a message calls the credential.
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

// source is what failures of the credential are counted by. Those of the admin's
// token are apart, so that wrong keys do not lock the admin out.
func (k Kind) source(address string) string {
	if k == ByAdminToken {
		return k.noun() + " from " + ratelimit.Network(address)
	}
	return ratelimit.Network(address)
}

// Principal is who makes a request. It lives as long as the request: what was
// revoked since is found out by the next one.
type Principal struct {
	Kind Kind
	// TeamID is the team that the request works on, zero where it works on none.
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
	// Role is the user's in the team; owner for platform admins; "" for API keys.
	Role Role
	// Scopes limit an API key; nil means all that a key can have.
	Scopes []Permission
	// PlatformAdmin may do everything on this installation.
	PlatformAdmin bool
}

// May says whether the principal may do something in its team.
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

// WithPrincipal puts the principal into a request's context.
func WithPrincipal(ctx context.Context, principal Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, principal)
}

// PrincipalOf returns the principal of a request that has passed authentication.
func PrincipalOf(ctx context.Context) Principal {
	principal, _ := ctx.Value(principalKey{}).(Principal)
	return principal
}
