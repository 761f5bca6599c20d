package templates

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/internal/cursor"
)

// TagAssignment is one time that a tag was given to a build, which is ready.
type TagAssignment struct {
	ID, BuildID     uuid.UUID
	AssignedAt      time.Time
	BuildCreatedAt  time.Time
	BuildFinishedAt *time.Time
}

// TagGroup is a tag with its newest assignments.
type TagGroup struct {
	Tag         string
	Assignments []TagAssignment
	// HasMore says that there are older ones.
	HasMore bool
}

// TagSort orders a list of tags.
type TagSort string

// The orders: by the newest assignment, or by name.
const (
	TagsLatestDescending TagSort = "latest_desc"
	TagsLatestAscending  TagSort = "latest_asc"
	TagsNameAscending    TagSort = "name_asc"
	TagsNameDescending   TagSort = "name_desc"
)

// TagGroupsFilter chooses a page of a template's tags.
type TagGroupsFilter struct {
	// AssignmentLimit is how many assignments of each tag are told.
	AssignmentLimit int
	PageSize        int
	PageToken       string
	// Search is a part of the tag's name, in any case; empty for all.
	Search string
	Sort   TagSort
}

// CountTags returns how many tags a template has that stand for a ready build.
func (t *Service) CountTags(ctx context.Context, teamID uuid.UUID, name string) (int, error) {
	_, groups, err := t.tagGroups(ctx, teamID, name)
	return len(groups), err
}

// HasTag says whether a template has a tag that stands for a ready build.
func (t *Service) HasTag(ctx context.Context, teamID uuid.UUID, name, tag string) (bool, error) {
	_, groups, err := t.tagGroups(ctx, teamID, name)
	return slices.ContainsFunc(groups, func(group rows.ListTagGroupsRow) bool { return group.Tag == tag }), err
}

func (t *Service) tagGroups(ctx context.Context, teamID uuid.UUID, name string) (Template, []rows.ListTagGroupsRow, error) {
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return Template{}, nil, err
	}
	groups, err := t.Queries.ListTagGroups(ctx, template.ID)
	if err != nil {
		return Template{}, nil, fmt.Errorf("list tags of template %s: %w", template.ID, err)
	}
	return template, groups, nil
}

// TagGroups returns a page of a template's tags and the token of the next one,
// empty on the last.
func (t *Service) TagGroups(ctx context.Context, teamID uuid.UUID, name string, filter TagGroupsFilter) ([]TagGroup, string, error) {
	order, err := filter.Sort.order()
	if err != nil {
		return nil, "", err
	}
	template, found, err := t.tagGroups(ctx, teamID, name)
	if err != nil {
		return nil, "", err
	}
	search := strings.ToLower(filter.Search)
	found = slices.DeleteFunc(found, func(row rows.ListTagGroupsRow) bool { return !strings.Contains(strings.ToLower(row.Tag), search) })
	slices.SortFunc(found, order)
	if filter.PageToken != "" {
		last, err := cursor.Parse(filter.PageToken, false)
		if err != nil {
			return nil, "", err
		}
		found = slices.DeleteFunc(found, func(row rows.ListTagGroupsRow) bool {
			return order(row, rows.ListTagGroupsRow{Tag: last.ID, AssignedAt: last.Time}) <= 0
		})
	}
	next := ""
	if len(found) > filter.PageSize {
		found = found[:filter.PageSize]
		last := found[filter.PageSize-1]
		next = cursor.At(last.AssignedAt, last.Tag).String()
	}
	groups, err := t.newestAssignments(ctx, template.ID, found, filter.AssignmentLimit)
	return groups, next, err
}

func (s TagSort) order() (func(a, b rows.ListTagGroupsRow) int, error) {
	byName := func(a, b rows.ListTagGroupsRow) int { return cmp.Compare(a.Tag, b.Tag) }
	byTime := func(a, b rows.ListTagGroupsRow) int { return cmp.Or(a.AssignedAt.Compare(b.AssignedAt), byName(a, b)) }
	reversed := func(order func(a, b rows.ListTagGroupsRow) int) func(a, b rows.ListTagGroupsRow) int {
		return func(a, b rows.ListTagGroupsRow) int { return order(b, a) }
	}
	switch s {
	case TagsLatestDescending, "":
		return reversed(byTime), nil
	case TagsLatestAscending:
		return byTime, nil
	case TagsNameAscending:
		return byName, nil
	case TagsNameDescending:
		return reversed(byName), nil
	default:
		return nil, fault.New(fault.Invalid, "sort must be latest_desc, latest_asc, name_asc or name_desc")
	}
}

func (t *Service) newestAssignments(ctx context.Context, templateID string, tags []rows.ListTagGroupsRow, limit int) ([]TagGroup, error) {
	groups := make([]TagGroup, len(tags))
	places := make(map[string]*TagGroup, len(tags))
	names := make([]string, len(tags))
	for i, row := range tags {
		groups[i] = TagGroup{Tag: row.Tag, Assignments: []TagAssignment{}}
		places[row.Tag], names[i] = &groups[i], row.Tag
	}
	found, err := t.Queries.ListNewestTagAssignments(ctx, rows.ListNewestTagAssignmentsParams{
		TemplateID: templateID, Tags: names, PerTag: int64(limit) + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("list assignments of tags of template %s: %w", templateID, err)
	}
	for _, row := range found {
		group := places[row.Tag]
		if len(group.Assignments) == limit {
			group.HasMore = true
			continue
		}
		group.Assignments = append(group.Assignments, TagAssignment{
			ID: row.ID, BuildID: row.BuildID, AssignedAt: row.AssignedAt, BuildCreatedAt: row.BuildCreatedAt, BuildFinishedAt: row.BuildFinishedAt,
		})
	}
	return groups, nil
}

// TagAssignments returns a page of a tag's assignments, newest first, and the token
// of the next one, empty on the last. It answers NotFound for a tag that has none.
func (t *Service) TagAssignments(ctx context.Context, teamID uuid.UUID, name, tag string, pageSize int, pageToken string) ([]TagAssignment, string, error) {
	before, err := cursor.Parse(pageToken, false)
	if err != nil {
		return nil, "", err
	}
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return nil, "", err
	}
	found, err := t.Queries.ListTagAssignments(ctx, rows.ListTagAssignmentsParams{
		TemplateID: template.ID, Tag: tag, BeforeTime: before.Time, BeforeID: before.ID, PageSize: int32(pageSize) + 1,
	})
	if err != nil {
		return nil, "", fmt.Errorf("list assignments of tag %s of template %s: %w", tag, template.ID, err)
	}
	if len(found) == 0 && pageToken == "" {
		return nil, "", fault.New(fault.NotFound, "template %s has no tag %.128q", template.ID, tag)
	}
	next := ""
	if len(found) > pageSize {
		found = found[:pageSize]
		last := found[pageSize-1]
		next = cursor.At(last.AssignedAt, last.ID.String()).String()
	}
	assignments := make([]TagAssignment, 0, len(found))
	for _, row := range found {
		assignments = append(assignments, TagAssignment(row))
	}
	return assignments, next, nil
}

// Defaults returns the installation's templates that every team may use, newest
// first.
func (t *Service) Defaults(ctx context.Context) ([]rows.ListTemplatesRow, error) {
	var defaults []rows.ListTemplatesRow
	for token := ""; ; {
		const pageSize = 100
		page, err := t.List(ctx, uuid.Nil, pageSize, token) // no team has this ID
		if err != nil {
			return nil, err
		}
		for _, row := range page.Templates {
			if row.Public {
				defaults = append(defaults, row)
			}
		}
		if token = page.NextToken; token == "" {
			return defaults, nil
		}
	}
}
