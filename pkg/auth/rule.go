package auth

import "slices"

// Rule says which principals may use a route. The zero Rule refuses all.
type Rule struct {
	audience   audience
	permission Permission
}

type audience int

const (
	closed audience = iota
	public
	sessions
	users
	members
	team
	admins
)

// Public accepts requests without a credential.
func Public() Rule { return Rule{audience: public} }

// BySignIn accepts sessions only: a leaked access token must not be able to change how
// its user signs in.
func BySignIn() Rule { return Rule{audience: sessions} }

// AnyUser accepts users, by session or access token.
func AnyUser() Rule { return Rule{audience: users} }

// ByMember accepts users whose role in the team has the permission, and admins of the
// installation who name the team; no API key.
func ByMember(permission Permission) Rule { return Rule{members, permission} }

// InTeam accepts what ByMember does, and API keys that have the permission.
func InTeam(permission Permission) Rule { return Rule{team, permission} }

// ByAdmin accepts admins of the installation and the admin token.
func ByAdmin() Rule { return Rule{audience: admins} }

// IsPublic says whether no credential is needed.
func (r Rule) IsPublic() bool { return r.audience == public }

// Permission is the permission that is needed in the team, "" where no team is chosen.
func (r Rule) Permission() Permission { return r.permission }

// ForTeam says whether a team is chosen.
func (r Rule) ForTeam() bool { return r.audience == members || r.audience == team }

// Accepts says whether principals of a kind may pass if they have the permission.
func (r Rule) Accepts(kind Kind) bool {
	return slices.Contains(map[audience][]Kind{
		sessions: {BySession},
		users:    {BySession, ByAccessToken},
		members:  {BySession, ByAccessToken, ByAdminToken},
		team:     {ByKey, BySession, ByAccessToken, ByAdminToken},
		admins:   {BySession, ByAccessToken, ByAdminToken},
	}[r.audience], kind)
}

// missing is the message for a request without a credential.
func (r Rule) missing() string {
	switch r.audience {
	case team:
		return "an API key is needed in the header X-API-Key, or an access token in Authorization"
	case admins:
		return "the header X-Admin-Token is missing"
	case sessions:
		return "sign in first"
	default:
		return "sign in first, or send an access token in the header Authorization"
	}
}

// refusal is the message for a valid credential of a kind that is not accepted.
func (r Rule) refusal() string {
	if r.audience == sessions {
		return "only a person who has signed in may do this"
	}
	return "this credential is not enough: only a user may do this"
}
