// Package events records what happens to sandboxes, templates, builds, keys, teams,
// members, channels, secrets, volumes and hosts, and hands it to subscribers.
//
// An event is a row that is written in the transaction of its change, so that neither
// exists without the other. A Bus reads new rows and hands them to subscribers in this
// process. A reader who must not miss an event while no control plane runs uses a Log
// and stores the last ID that it has read.
package events

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// Type is the kind of thing, a dot and a verb, such as "sandbox.paused".
type Type string

// Kind is the part before the dot, such as "sandbox".
func (t Type) Kind() string {
	kind, _, _ := strings.Cut(string(t), ".")
	return kind
}

// The types of events.
const (
	SandboxCreated     = Type(sandbox.EventCreated) // requested; it does not run yet
	SandboxStarted     = Type(sandbox.EventStarted) // runs for the first time
	SandboxPaused      = Type(sandbox.EventPaused)
	SandboxResumed     = Type(sandbox.EventResumed)
	SandboxSnapshotted = Type(sandbox.EventSnapshotted)
	SandboxForked      = Type(sandbox.EventForked)
	SandboxUpdated     = Type(sandbox.EventUpdated) // end, metadata or network changed
	SandboxKilled      = Type(sandbox.EventKilled)
	SandboxExpired     = Type(sandbox.EventExpired) // killed because its time was over
	SandboxFailed      = Type(sandbox.EventFailed)  // never ran, or its host can no longer use it

	TemplateCreated     Type = "template.created"
	TemplateUpdated     Type = "template.updated"
	TemplateDeleted     Type = "template.deleted"
	TemplateBuilt       Type = "template.built"
	TemplateBuildFailed Type = "template.build_failed"

	BuildStarted   Type = "build.started"
	BuildReady     Type = "build.ready"
	BuildFailed    Type = "build.failed"
	BuildCancelled Type = "build.cancelled" // by its team or an admin, or superseded

	KeyCreated Type = "key.created"
	KeyUpdated Type = "key.updated"
	KeyRevoked Type = "key.revoked"

	TeamUpdated Type = "team.updated" // its name, or the isolation that it demands

	MemberAdded   Type = "member.added"
	MemberUpdated Type = "member.updated"
	MemberRemoved Type = "member.removed"

	ChannelCreated Type = "channel.created"
	ChannelUpdated Type = "channel.updated"
	ChannelDeleted Type = "channel.deleted"
	// ChannelTested is sent by a test of a channel and is never stored.
	ChannelTested Type = "channel.tested"

	SecretCreated Type = "secret.created"
	SecretUpdated Type = "secret.updated"
	SecretDeleted Type = "secret.deleted"

	VolumeCreated Type = "volume.created"
	VolumeDeleted Type = "volume.deleted"

	HostRegistered  Type = "host.registered"
	HostReady       Type = "host.ready"
	HostDraining    Type = "host.draining"
	HostUnreachable Type = "host.unreachable"
	HostRetired     Type = "host.retired"
)

// Installation is the TeamID of events that belong to no team.
var Installation = uuid.Nil

// Event is something that happened.
type Event struct {
	// ID grows within a team in the order of commits.
	ID     int64
	Type   Type
	TeamID uuid.UUID
	// ResourceID is the sandbox, template, build, key, team, user, channel, secret, volume or
	// host.
	ResourceID string
	At         time.Time
	// Data is a JSON object; its fields depend on the type.
	Data json.RawMessage
}

// maxTypes is how many types a filter may name.
const maxTypes = 50

var (
	typePattern     = regexp.MustCompile(`^[a-z]{1,32}(\.[a-z_]{1,32}){1,3}$`)
	wildcardPattern = regexp.MustCompile(`^[a-z]{1,32}\.\*$`)
)

// ValidateTypes checks a list that selects events: each is a type or, as "sandbox.*",
// all of a kind. Types that are not listed here are valid, because extensions have
// their own.
func ValidateTypes(field string, types []string) error {
	if len(types) > maxTypes {
		return fault.New(fault.Invalid, "%s may have at most %d types", field, maxTypes)
	}
	for _, name := range types {
		if !typePattern.MatchString(name) && !wildcardPattern.MatchString(name) {
			return fault.New(fault.Invalid, "%s: each must be a type such as sandbox.started, or sandbox.* for all of a kind", field)
		}
	}
	return nil
}
