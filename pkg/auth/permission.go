package auth

import "slices"

// Permission allows an action in a team. Scopes of API keys are permissions.
type Permission string

// The permissions. Those to read show no credentials: SandboxRead does not show the
// tokens of sandboxes.
const (
	SandboxRead   Permission = "sandbox:read"
	SandboxWrite  Permission = "sandbox:write"
	TemplateRead  Permission = "template:read"
	TemplateWrite Permission = "template:write"
	VolumeRead    Permission = "volume:read"
	VolumeWrite   Permission = "volume:write"
	SecretRead    Permission = "secret:read"
	SecretWrite   Permission = "secret:write"
	UsageRead     Permission = "usage:read"
	EventRead     Permission = "event:read"
	ChannelRead   Permission = "channel:read"
	ChannelWrite  Permission = "channel:write"
	AuditRead     Permission = "audit:read"
	KeyRead       Permission = "key:read"
	KeyWrite      Permission = "key:write"
	MemberRead    Permission = "member:read"
	MemberWrite   Permission = "member:write"
	TeamRead      Permission = "team:read"
	TeamWrite     Permission = "team:write"
	TeamDelete    Permission = "team:delete"
)

// Role is a user's role in a team.
type Role string

// The roles, from the one with all permissions to the one that only reads.
const (
	Owner  Role = "owner"
	Admin  Role = "admin"
	Member Role = "member"
	Viewer Role = "viewer"
)

// Roles are all roles, the most powerful first.
func Roles() []Role { return []Role{Owner, Admin, Member, Viewer} }

// IsRole says whether a text names a role.
func IsRole(text string) bool { return slices.Contains(Roles(), Role(text)) }

// leastRole is the least powerful role with a permission; more powerful ones have it
// too. Owners also differ from admins in which members they may change: no role changes
// a higher one.
var leastRole = map[Permission]Role{
	SandboxRead:   Viewer,
	SandboxWrite:  Member,
	TemplateRead:  Viewer,
	TemplateWrite: Member,
	VolumeRead:    Viewer,
	VolumeWrite:   Member,
	SecretRead:    Viewer,
	SecretWrite:   Member,
	UsageRead:     Viewer,
	EventRead:     Viewer,
	ChannelRead:   Member,
	ChannelWrite:  Admin,
	AuditRead:     Admin,
	KeyRead:       Member,
	KeyWrite:      Member,
	MemberRead:    Viewer,
	MemberWrite:   Admin,
	TeamRead:      Viewer,
	TeamWrite:     Admin,
	TeamDelete:    Owner,
}

// notForKeys are permissions that API keys never have: a leaked key must not be able to
// make other keys or to add members.
var notForKeys = []Permission{KeyRead, KeyWrite, MemberWrite, TeamWrite, TeamDelete}

// Has says whether a role has a permission.
func (r Role) Has(permission Permission) bool {
	least, known := leastRole[permission]
	return known && r.AtLeast(least)
}

// AtLeast says whether a role has all permissions of another.
func (r Role) AtLeast(other Role) bool {
	mine, others := slices.Index(Roles(), r), slices.Index(Roles(), other)
	return mine >= 0 && others >= 0 && mine <= others
}

// Permissions are the permissions of a role, in alphabetical order.
func (r Role) Permissions() []Permission {
	var all []Permission
	for permission := range leastRole {
		if r.Has(permission) {
			all = append(all, permission)
		}
	}
	slices.Sort(all)
	return all
}

// IsScope says whether a text names a permission that an API key may have.
func IsScope(text string) bool {
	permission := Permission(text)
	return Owner.Has(permission) && !slices.Contains(notForKeys, permission)
}

// Scopes are the permissions of a role that an API key may have.
func (r Role) Scopes() []Permission {
	return slices.DeleteFunc(r.Permissions(), func(p Permission) bool { return slices.Contains(notForKeys, p) })
}
