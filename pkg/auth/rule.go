package auth

import "slices"

// Rule is what a route asks of whoever calls it. The zero Rule lets nobody in.
type Rule struct {
	audience   audience
	permission Permission
}

type audience int

const (
	nobody audience = iota
	anybody
	sessions
	users
	members
	team
	admins
)

// Public lets everybody in, without a credential.
func Public() Rule { return Rule{audience: anybody} }

// BySignIn lets every user in who has signed in, and no access token: a token
// that leaked must not be able to change how its user signs in.
func BySignIn() Rule { return Rule{audience: sessions} }

// AnyUser lets every signed-in user in, by session or access token.
func AnyUser() Rule { return Rule{audience: users} }

// ByMember lets in users whose role in the team has the permission, and platform
// admins who name the team; no API key.
func ByMember(permission Permission) Rule { return Rule{members, permission} }

// InTeam lets in whom ByMember does and API keys that have the permission.
func InTeam(permission Permission) Rule { return Rule{team, permission} }

// ByAdmin lets platform admins in: users who are, and the admin token.
func ByAdmin() Rule { return Rule{audience: admins} }

// IsPublic says whether no credential is asked for.
func (r Rule) IsPublic() bool { return r.audience == anybody }

// Permission is what must be allowed in the team, "" where no team is chosen.
func (r Rule) Permission() Permission { return r.permission }

// ForTeam says whether a request works on one team.
func (r Rule) ForTeam() bool { return r.audience == members || r.audience == team }

// Accepts says whether a kind of principal can pass, if it has the permission.
func (r Rule) Accepts(kind Kind) bool {
	return slices.Contains(map[audience][]Kind{
		sessions: {BySession},
		users:    {BySession, ByAccessToken},
		members:  {BySession, ByAccessToken, ByAdminToken},
		team:     {ByKey, BySession, ByAccessToken, ByAdminToken},
		admins:   {BySession, ByAccessToken, ByAdminToken},
	}[r.audience], kind)
}

// missing says what a request without a credential lacks.
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

// refusal says why a valid credential is not enough.
func (r Rule) refusal() string {
	if r.audience == sessions {
		return "only a person who has signed in may do this"
	}
	return "this credential is not enough: only a user may do this"
}
