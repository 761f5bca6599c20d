package templates

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/id"
)

// maxTemplateTags is how many tags a template has, and one request names, at most.
const maxTemplateTags = 100

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
	has, err := t.Queries.ListTags(ctx, template.ID)
	if err != nil {
		return uuid.Nil, fmt.Errorf("list tags of template %s: %w", template.ID, err)
	}
	if len(has)+len(tags) > maxTemplateTags {
		return uuid.Nil, fault.New(fault.Invalid, "tags: a template has at most %d", maxTemplateTags)
	}
	build, err := t.taggedBuild(ctx, template, wanted.tag)
	if err != nil {
		return uuid.Nil, err
	}
	tags = slices.Sorted(slices.Values(tags))
	err = t.Queries.AssignTags(ctx, rows.AssignTagsParams{TemplateID: template.ID, Tags: slices.Compact(tags), BuildID: build.ID})
	if db.IsForeignKeyViolation(err) {
		return uuid.Nil, notFound(target) // deleted meanwhile
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("tag build %s: %w", build.ID, err)
	}
	return build.ID, nil
}

func (t *Service) taggedBuild(ctx context.Context, template Template, tag string) (rows.TemplateBuild, error) {
	missing := fault.New(fault.NotFound, "template %s has no build that is ready and tagged %q", template.ID, tag)
	buildID, err := uuid.Parse(tag)
	if err != nil {
		buildID, err = t.Queries.FindTaggedBuild(ctx, rows.FindTaggedBuildParams{TemplateID: template.ID, Tag: tag})
	}
	var build rows.TemplateBuild
	if err == nil {
		build, err = t.Queries.GetBuild(ctx, rows.GetBuildParams{ID: buildID, TemplateID: template.ID})
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return rows.TemplateBuild{}, missing
	}
	if err != nil {
		return rows.TemplateBuild{}, fmt.Errorf("find build %s of template %s: %w", tag, template.ID, err)
	}
	if build.Status != "ready" {
		return rows.TemplateBuild{}, missing
	}
	return build, nil
}

// RemoveTags takes tags from whichever build of a template has them.
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
	if err := t.Queries.RemoveTags(ctx, rows.RemoveTagsParams{TemplateID: template.ID, Tags: tags}); err != nil {
		return fmt.Errorf("remove tags of template %s: %w", template.ID, err)
	}
	return nil
}

// Tags returns the tags of a template that a team may use, the newest first, with
// the one that stands for the newest build.
func (t *Service) Tags(ctx context.Context, teamID uuid.UUID, name string) ([]rows.TemplateTag, error) {
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return nil, err
	}
	tags, err := t.Queries.ListTags(ctx, template.ID)
	if err != nil {
		return nil, fmt.Errorf("list tags of template %s: %w", template.ID, err)
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
		case tag.Tag != newestTag:
			kept = append(kept, tag)
		case tag.BuildID == newest.ID && tag.CreatedAt.After(at):
			at = tag.CreatedAt
		}
	}
	return append([]rows.TemplateTag{{TemplateID: template.ID, Tag: newestTag, BuildID: newest.ID, CreatedAt: at}}, kept...), nil
}

func validateTags(tags []string) error {
	if len(tags) == 0 || len(tags) > maxTemplateTags {
		return fault.New(fault.Invalid, "tags must be from 1 to %d", maxTemplateTags)
	}
	for _, tag := range tags {
		if _, err := uuid.Parse(tag); err == nil || !id.IsTemplate(tag) {
			return fault.New(fault.Invalid, "tags must be letters, digits, dots, dashes and underscores, at most 128, and no build's ID")
		}
	}
	return nil
}
