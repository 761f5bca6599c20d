package templates

import (
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// newestTag stands for the build that was made, or given this tag, last.
const newestTag = "default"

// Name is how clients name a template: "name", "name:tag", "team/name" or
// all of them, where name is an alias or an ID and team is a slug.
type Name struct {
	team, name string
	// tag is newestTag where the client names none; it may be a build's ID.
	tag string
	// tagged says that the client named one.
	tagged bool
}

// ParseName reads a Name. It returns Invalid, with the field's name, if text has no such
// form.
func ParseName(field, text string) (Name, error) {
	rest, tag, tagged := strings.Cut(text, ":")
	team, name, ofTeam := strings.Cut(rest, "/")
	if !ofTeam {
		team, name = "", rest
	}
	if !tagged {
		tag = newestTag
	}
	if !id.IsTemplate(name) || !id.IsTemplate(tag) || ofTeam && !id.IsTemplate(team) {
		return Name{}, fault.New(fault.Invalid, "%s is neither a template's ID nor a name such as name, name:tag or team/name", field)
	}
	return Name{team: team, name: name, tag: tag, tagged: tagged}, nil
}

// Team is the slug of the team that the client names; empty for none.
func (n Name) Team() string { return n.team }

// Alias is the alias or ID.
func (n Name) Alias() string { return n.name }

// Tag returns the tag or a build's ID, and false where the client names none.
func (n Name) Tag() (string, bool) { return n.tag, n.tagged }
