package templates

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// tags returns the tags of a template, the newest first.
func (s *store) tags(ctx context.Context, templateID string) ([]Tag, error) {
	found, err := s.queries.ListTags(ctx, templateID)
	if err != nil {
		return nil, fmt.Errorf("list tags of template %s: %w", templateID, err)
	}
	tags := make([]Tag, 0, len(found))
	for _, row := range found {
		tags = append(tags, Tag{Name: row.Tag, BuildID: row.BuildID, AssignedAt: row.CreatedAt})
	}
	return tags, nil
}

// taggedBuild returns the ready build that a tag stands for.
func (s *store) taggedBuild(ctx context.Context, templateID, tag string) (uuid.UUID, error) {
	buildID, err := s.queries.FindTaggedBuild(ctx, rows.FindTaggedBuildParams{TemplateID: templateID, Tag: tag})
	return buildID, orNoRow(err)
}

// assignTags takes the tags from other builds of the template.
func (s *store) assignTags(ctx context.Context, templateID string, buildID uuid.UUID, tags []string) error {
	err := s.queries.AssignTags(ctx, rows.AssignTagsParams{TemplateID: templateID, Tags: tags, BuildID: buildID})
	if err != nil {
		return fmt.Errorf("tag build %s: %w", buildID, err)
	}
	return nil
}

func (s *store) removeTags(ctx context.Context, templateID string, tags []string) error {
	if err := s.queries.RemoveTags(ctx, rows.RemoveTagsParams{TemplateID: templateID, Tags: tags}); err != nil {
		return fmt.Errorf("remove tags of template %s: %w", templateID, err)
	}
	return nil
}

// latestAssignments returns each tag of a template with its latest assignment alone.
func (s *store) latestAssignments(ctx context.Context, templateID string) ([]latest, error) {
	found, err := s.queries.ListTagGroups(ctx, templateID)
	if err != nil {
		return nil, fmt.Errorf("list tags of template %s: %w", templateID, err)
	}
	tags := make([]latest, 0, len(found))
	for _, row := range found {
		tags = append(tags, latest{tag: row.Tag, at: row.AssignedAt})
	}
	return tags, nil
}

// newestAssignments returns at most a number of the newest assignments of each of some
// tags, by tag.
func (s *store) newestAssignments(ctx context.Context, templateID string, tags []string, perTag int) (map[string][]TagAssignment, error) {
	found, err := s.queries.ListNewestTagAssignments(ctx, rows.ListNewestTagAssignmentsParams{
		TemplateID: templateID, Tags: tags, PerTag: int64(perTag),
	})
	if err != nil {
		return nil, fmt.Errorf("list assignments of tags of template %s: %w", templateID, err)
	}
	assignments := map[string][]TagAssignment{}
	for _, row := range found {
		assignments[row.Tag] = append(assignments[row.Tag], TagAssignment{
			ID: row.ID, BuildID: row.BuildID, AssignedAt: row.AssignedAt, BuildCreatedAt: row.BuildCreatedAt, BuildFinishedAt: row.BuildFinishedAt,
		})
	}
	return assignments, nil
}

// assignments returns at most a number of a tag's assignments, newest first, after a
// place.
func (s *store) assignments(ctx context.Context, templateID, tag string, after cursor.Cursor, most int) ([]TagAssignment, error) {
	found, err := s.queries.ListTagAssignments(ctx, rows.ListTagAssignmentsParams{
		TemplateID: templateID, Tag: tag, BeforeTime: after.Time, BeforeID: after.ID, PageSize: int32(most),
	})
	if err != nil {
		return nil, fmt.Errorf("list assignments of tag %s of template %s: %w", tag, templateID, err)
	}
	assignments := make([]TagAssignment, 0, len(found))
	for _, row := range found {
		assignments = append(assignments, TagAssignment(row))
	}
	return assignments, nil
}
