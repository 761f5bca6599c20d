// Package events tells what has happened: to sandboxes, templates, keys, members,
// channels, secrets, volumes and hosts.
//
// An event is a row that is written in the transaction of what it tells of, so
// that there is neither an event without a change nor a change without its event.
// Most are written by triggers, whichever statement makes the change; Record
// writes the others. A Bus follows the rows and hands them to subscribers in this
// process; whoever must not miss one while no control plane runs reads them with
// a Log, from the last ID it has seen.
package events

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Type says what has happened: a kind of thing, a dot and a verb.
type Type string

// Kind is the kind of thing that a type is about, such as "sandbox".
func (t Type) Kind() string {
	kind, _, _ := strings.Cut(string(t), ".")
	return kind
}

// The types of events.
const (
	SandboxCreated     Type = "sandbox.created" // asked for; it does not run yet
	SandboxStarted     Type = "sandbox.started" // runs for the first time
	SandboxPaused      Type = "sandbox.paused"
	SandboxResumed     Type = "sandbox.resumed"
	SandboxSnapshotted Type = "sandbox.snapshotted"
	SandboxForked      Type = "sandbox.forked"
	SandboxUpdated     Type = "sandbox.updated" // its end, metadata or network
	SandboxKilled      Type = "sandbox.killed"
	SandboxExpired     Type = "sandbox.expired" // killed because its time was over
	SandboxFailed      Type = "sandbox.failed"  // never ran, or its host cannot use it any more

	TemplateCreated     Type = "template.created"
	TemplateUpdated     Type = "template.updated"
	TemplateDeleted     Type = "template.deleted"
	TemplateBuilt       Type = "template.built"
	TemplateBuildFailed Type = "template.build_failed"

	KeyCreated Type = "key.created"
	KeyUpdated Type = "key.updated"
	KeyRevoked Type = "key.revoked"

	MemberAdded   Type = "member.added"
	MemberUpdated Type = "member.updated"
	MemberRemoved Type = "member.removed"

	ChannelCreated Type = "channel.created"
	ChannelUpdated Type = "channel.updated"
	ChannelDeleted Type = "channel.deleted"
	// ChannelTested is never stored: it is what a test of a channel sends.
	ChannelTested Type = "channel.tested"

	SecretCreated Type = "secret.created"
	SecretUpdated Type = "secret.updated"
	SecretDeleted Type = "secret.deleted"

	VolumeCreated Type = "volume.created"
	VolumeDeleted Type = "volume.deleted" // nobody can use it any more

	HostRegistered  Type = "host.registered"
	HostReady       Type = "host.ready"
	HostDraining    Type = "host.draining"
	HostUnreachable Type = "host.unreachable"
	HostRetired     Type = "host.retired"
)

// Installation stands in place of a team for what belongs to none.
var Installation = uuid.Nil

// Event is one thing that has happened.
type Event struct {
	// ID grows within a team in the order in which things happened.
	ID     int64     `json:"id"`
	Type   Type      `json:"type"`
	TeamID uuid.UUID `json:"teamID"`
	// ResourceID is the sandbox, template, key, user, channel, secret, volume or host.
	ResourceID string    `json:"resourceID"`
	At         time.Time `json:"at"`
	// Data is a JSON object, different for each type.
	Data json.RawMessage `json:"data"`
}

// maxTypes is how many types a filter may name.
const maxTypes = 50

var (
	typePattern     = regexp.MustCompile(`^[a-z]{1,32}(\.[a-z_]{1,32}){1,3}$`)
	wildcardPattern = regexp.MustCompile(`^[a-z]{1,32}\.\*$`)
)

// ValidateTypes checks a list of types to select events by: each a whole type or,
// such as "sandbox.*", all of a kind. A type that is not known here is let pass,
// because extensions have their own.
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
