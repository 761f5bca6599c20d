package validate

import (
	"regexp"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// maxHostTags is how many tags a host has, and a placement asks for, at most.
const maxHostTags = 32

var (
	hostTagPattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9._=-]{0,62}$`)
	hostNamePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$`)
)

// HostTags checks the tags of a host.
func HostTags(tags []string) error {
	if len(tags) > maxHostTags {
		return fault.New(fault.Invalid, "tags must be at most %d", maxHostTags)
	}
	for _, tag := range tags {
		if !hostTagPattern.MatchString(tag) {
			return fault.New(fault.Invalid, "tags must be up to 63 of a-z, 0-9, dot, underscore, hyphen and =")
		}
	}
	return nil
}

// HostName checks the name of a host, or of a placement group.
func HostName(field, name string) error {
	if !hostNamePattern.MatchString(name) {
		return fault.New(fault.Invalid, "%s must be up to 63 letters, digits, dots, underscores and hyphens", field)
	}
	return nil
}
