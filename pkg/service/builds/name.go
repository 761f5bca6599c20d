package builds

import (
	"context"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

const (
	defaultTag = "default"
	// maxTags is how many tags one request names at most.
	maxTags = 20
)

// The forms are E2B's.
var (
	namePattern = regexp.MustCompile(`^[a-z0-9_-]{1,128}$`)
	tagPattern  = regexp.MustCompile(`^[a-z0-9._-]{1,128}$`)
)

// wantedName is the checked name of a template that is to be built.
type wantedName struct {
	slug, alias string
	// tags are sorted, without the default one.
	tags      []string
	isDefault bool
}

// all returns the tags with the default one.
func (n wantedName) all() []string {
	if n.isDefault {
		return append([]string{defaultTag}, n.tags...)
	}
	return n.tags
}

// parseName checks a name such as "name", "name:tag" or "team/name", and tags. Without a
// tag the build gets the default one.
func parseName(ctx context.Context, store *store, teamID uuid.UUID, text string, tags []string) (wantedName, error) {
	if text == "" {
		return wantedName{}, fault.New(fault.Invalid, "name is missing")
	}
	parsed, err := templates.ParseName("name", text)
	if err != nil {
		return wantedName{}, err
	}
	slug, err := store.teamSlug(ctx, teamID)
	if err != nil {
		return wantedName{}, err
	}
	if parsed.Team() != "" && parsed.Team() != slug {
		return wantedName{}, fault.New(fault.Conflict, "name %.200q is another team's: the team's own templates are named %s/…", text, slug)
	}
	if !namePattern.MatchString(parsed.Alias()) {
		return wantedName{}, fault.New(fault.Invalid, "name must be lower-case letters, digits, dashes and underscores, at most 128")
	}
	if tag, tagged := parsed.Tag(); tagged {
		tags = append([]string{tag}, tags...)
	}
	if len(tags) > maxTags {
		return wantedName{}, fault.New(fault.Invalid, "tags must be at most %d", maxTags)
	}
	for _, tag := range tags {
		if _, err := uuid.Parse(tag); err == nil || !tagPattern.MatchString(tag) {
			return wantedName{}, fault.New(fault.Invalid,
				"tags must be lower-case letters, digits, dots, dashes and underscores, at most 128, and no build's ID")
		}
	}
	tags = slices.Compact(slices.Sorted(slices.Values(tags)))
	named := wantedName{slug: slug, alias: parsed.Alias(), isDefault: len(tags) == 0 || slices.Contains(tags, defaultTag)}
	named.tags = slices.DeleteFunc(tags, func(tag string) bool { return tag == defaultTag })
	if named.tags == nil {
		named.tags = []string{}
	}
	return named, nil
}
