package placement

import (
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// Affinity is what a client asks of a new sandbox's host. The zero value is any
// host.
type Affinity struct {
	// HostTags are tags that the host must have.
	HostTags []string
	// Group is a name, within the team, for sandboxes that Spread is about.
	Group string
	// Spread is "apart": no two of the group that run are on one host when they are
	// created; or "together": they are, as long as there is room.
	Spread string
}

var rules = map[string]scheduler.Rule{"": scheduler.Anywhere, "apart": scheduler.Apart, "together": scheduler.Together}

// Validate checks what a client asks for.
func (a Affinity) Validate() error {
	if err := validate.HostTags(a.HostTags); err != nil {
		return fault.New(fault.Invalid, "placement.%s", err.Error())
	}
	if _, known := rules[a.Spread]; !known {
		return fault.New(fault.Invalid, "placement.spread must be apart or together")
	}
	if a.Group != "" {
		if err := validate.HostName("placement.group", a.Group); err != nil {
			return err
		}
	}
	if a.Spread != "" && a.Group == "" {
		return fault.New(fault.Invalid, "placement.spread needs placement.group")
	}
	return nil
}

// Apply puts the wishes into a request. No team can join another's group.
func (a Affinity) Apply(request *scheduler.Request, teamID uuid.UUID) {
	request.Tags, request.Rule = a.HostTags, rules[a.Spread]
	if a.Group != "" {
		request.Group = teamID.String() + "/" + a.Group
	}
}
