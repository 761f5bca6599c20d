package templates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// Tag is a name for a build of one template.
type Tag struct {
	Name       string
	BuildID    uuid.UUID
	AssignedAt time.Time
}

// maxTags is how many tags a template has, and one request names, at most.
const maxTags = 100

// AssignTags gives tags to the build that target names, such as "name:v1"; with no
// tag that is the newest. Other builds of the template lose them.
func (t *Service) AssignTags(ctx context.Context, teamID uuid.UUID, target string, tags []string) (uuid.UUID, error) {
	wanted, err := ParseName("target", target)
	if err != nil {
		return uuid.Nil, err
	}
	if err := validateTags(tags); err != nil {
		return uuid.Nil, err
	}
	template, err := t.find(ctx, teamID, wanted)
	if err == nil {
		err = template.ownedBy(teamID)
	}
	if err != nil {
		return uuid.Nil, err
	}
	has, err := newStore(t.pool).tags(ctx, template.ID)
	if err != nil {
		return uuid.Nil, err
	}
	if len(has)+len(tags) > maxTags {
		return uuid.Nil, fault.New(fault.Invalid, "tags: a template has at most %d", maxTags)
	}
	build, err := t.taggedBuild(ctx, template, wanted.tag)
	if err != nil {
		return uuid.Nil, err
	}
	tags = slices.Sorted(slices.Values(tags))
	err = newStore(t.pool).assignTags(ctx, template.ID, build.ID, slices.Compact(tags))
	if db.IsForeignKeyViolation(err) {
		return uuid.Nil, notFound(target) // deleted meanwhile
	}
	if err != nil {
		return uuid.Nil, err
	}
	return build.ID, nil
}

// taggedBuild returns the ready build that a tag, or a build's ID, stands for.
func (t *Service) taggedBuild(ctx context.Context, template Template, tag string) (Build, error) {
	missing := fault.New(fault.NotFound, "template %s has no build that is ready and tagged %q", template.ID, tag)
	store := newStore(t.pool)
	buildID, err := uuid.Parse(tag)
	if err != nil {
		buildID, err = store.taggedBuild(ctx, template.ID, tag)
	}
	var build Build
	if err == nil {
		build, err = store.build(ctx, template.ID, buildID)
	}
	if errors.Is(err, errNoRow) {
		return Build{}, missing
	}
	if err != nil {
		return Build{}, fmt.Errorf("find build %s of template %s: %w", tag, template.ID, err)
	}
	if build.Status != StatusReady {
		return Build{}, missing
	}
	return build, nil
}

// RemoveTags takes tags from the builds of a template that have them.
func (t *Service) RemoveTags(ctx context.Context, teamID uuid.UUID, name string, tags []string) error {
	wanted, err := ParseName("name", name)
	if err != nil {
		return err
	}
	if err := validateTags(tags); err != nil {
		return err
	}
	if slices.Contains(tags, newestTag) {
		return fault.New(fault.Invalid, "tags: %q cannot be removed", newestTag)
	}
	template, err := t.find(ctx, teamID, wanted)
	if err == nil {
		err = template.ownedBy(teamID)
	}
	if err != nil {
		return err
	}
	return newStore(t.pool).removeTags(ctx, template.ID, tags)
}

// Tags returns the tags of a template that a team may use, the newest first, with
// the one that stands for the newest build.
func (t *Service) Tags(ctx context.Context, teamID uuid.UUID, name string) ([]Tag, error) {
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return nil, err
	}
	tags, err := newStore(t.pool).tags(ctx, template.ID)
	if err != nil {
		return nil, err
	}
	newest, err := t.taggedBuild(ctx, template, newestTag)
	if fault.Is(err, fault.NotFound) {
		return tags, nil
	}
	if err != nil {
		return nil, err
	}
	at := newest.CreatedAt
	kept := tags[:0]
	for _, tag := range tags {
		switch {
		case tag.Name != newestTag:
			kept = append(kept, tag)
		case tag.BuildID == newest.ID && tag.AssignedAt.After(at):
			at = tag.AssignedAt
		}
	}
	return append([]Tag{{Name: newestTag, BuildID: newest.ID, AssignedAt: at}}, kept...), nil
}

func validateTags(tags []string) error {
	if len(tags) == 0 || len(tags) > maxTags {
		return fault.New(fault.Invalid, "tags must be from 1 to %d", maxTags)
	}
	for _, tag := range tags {
		if _, err := uuid.Parse(tag); err == nil || !id.IsTemplate(tag) {
			return fault.New(fault.Invalid, "tags must be letters, digits, dots, dashes and underscores, at most 128, and no build's ID")
		}
	}
	return nil
}
