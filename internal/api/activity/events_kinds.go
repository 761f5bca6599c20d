package activity

import (
	"net/http"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// kindPermissions is what it takes, besides event:read, to be told of each kind of
// things. Kinds that are not here are of extensions, and take no more.
var kindPermissions = map[string]auth.Permission{
	"sandbox": auth.SandboxRead, "template": auth.TemplateRead, "volume": auth.VolumeRead, "secret": auth.SecretRead,
	"key": auth.KeyRead, "member": auth.MemberRead, "channel": auth.ChannelRead,
}

// hiddenKinds are the kinds that a principal may not be told of, in order. Routes
// of admins work on no team and hide nothing.
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

// hiddenFrom are the kinds that may not be told to who asks.
func hiddenFrom(r *http.Request) []string { return hiddenKinds(auth.PrincipalOf(r.Context())) }

// refuseHidden refuses event types that are named although their kind is hidden.
func refuseHidden(types, hidden []string) error {
	for _, name := range types {
		if kind, _, _ := strings.Cut(name, "."); slices.Contains(hidden, kind) {
			return fault.New(fault.Forbidden, "the permission %s is needed for events of type %s", kindPermissions[kind], name)
		}
	}
	return nil
}
