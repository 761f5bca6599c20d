package activity

import (
	"net/http"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// kindPermissions are the permissions that events of a kind of resource need besides
// event:read. Other kinds, those of extensions, need no other permission.
var kindPermissions = map[string]auth.Permission{
	"sandbox": auth.SandboxRead, "template": auth.TemplateRead, "build": auth.TemplateRead, "volume": auth.VolumeRead, "secret": auth.SecretRead,
	"key": auth.KeyRead, "member": auth.MemberRead, "team": auth.TeamRead, "channel": auth.ChannelRead,
}

// hiddenKinds returns the kinds whose events a principal may not read, sorted. Routes of
// platform admins, which are for no team, hide none.
func hiddenKinds(principal auth.Principal) []string {
	hidden := []string{}
	if principal.PlatformAdmin && principal.Role == "" {
		return hidden
	}
	for kind, permission := range kindPermissions {
		if !principal.May(permission) {
			hidden = append(hidden, kind)
		}
	}
	slices.Sort(hidden)
	return hidden
}

// hiddenFrom returns the kinds whose events a request may not read.
func hiddenFrom(r *http.Request) []string { return hiddenKinds(auth.PrincipalOf(r.Context())) }

// refuseHidden returns an error if one of the event types is of a hidden kind.
func refuseHidden(types, hidden []string) error {
	for _, name := range types {
		if kind, _, _ := strings.Cut(name, "."); slices.Contains(hidden, kind) {
			return fault.New(fault.Forbidden, "the permission %s is needed for events of type %s", kindPermissions[kind], name)
		}
	}
	return nil
}
