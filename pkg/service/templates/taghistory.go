package templates

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

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

// latest is a tag and when it was assigned last.
type latest struct {
	tag string
	at  time.Time
}

// TagGroupsFilter chooses a page of a template's tags.
type TagGroupsFilter struct {
	// AssignmentLimit is how many assignments of each tag are listed.
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

// HasTag reports whether a template has a tag that stands for a ready build.
func (t *Service) HasTag(ctx context.Context, teamID uuid.UUID, name, tag string) (bool, error) {
	_, groups, err := t.tagGroups(ctx, teamID, name)
	return slices.ContainsFunc(groups, func(group latest) bool { return group.tag == tag }), err
}

func (t *Service) tagGroups(ctx context.Context, teamID uuid.UUID, name string) (Template, []latest, error) {
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return Template{}, nil, err
	}
	groups, err := newStore(t.pool).latestAssignments(ctx, template.ID)
	return template, groups, err
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
	found = slices.DeleteFunc(found, func(row latest) bool { return !strings.Contains(strings.ToLower(row.tag), search) })
	slices.SortFunc(found, order)
	if filter.PageToken != "" {
		last, err := cursor.Parse(filter.PageToken, false)
		if err != nil {
			return nil, "", err
		}
		found = slices.DeleteFunc(found, func(row latest) bool {
			return order(row, latest{tag: last.ID, at: last.Time}) <= 0
		})
	}
	next := ""
	if len(found) > filter.PageSize {
		found = found[:filter.PageSize]
		last := found[filter.PageSize-1]
		next = cursor.At(last.at, last.tag).String()
	}
	groups, err := t.newestAssignments(ctx, template.ID, found, filter.AssignmentLimit)
	return groups, next, err
}

func (s TagSort) order() (func(a, b latest) int, error) {
	byName := func(a, b latest) int { return cmp.Compare(a.tag, b.tag) }
	byTime := func(a, b latest) int { return cmp.Or(a.at.Compare(b.at), byName(a, b)) }
	reversed := func(order func(a, b latest) int) func(a, b latest) int {
		return func(a, b latest) int { return order(b, a) }
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

func (t *Service) newestAssignments(ctx context.Context, templateID string, tags []latest, limit int) ([]TagGroup, error) {
	names := make([]string, len(tags))
	for i, row := range tags {
		names[i] = row.tag
	}
	found, err := newStore(t.pool).newestAssignments(ctx, templateID, names, limit+1)
	if err != nil {
		return nil, err
	}
	groups := make([]TagGroup, len(tags))
	for i, name := range names {
		assignments := found[name]
		groups[i] = TagGroup{Tag: name, HasMore: len(assignments) > limit, Assignments: []TagAssignment{}}
		groups[i].Assignments = append(groups[i].Assignments, assignments[:min(len(assignments), limit)]...)
	}
	return groups, nil
}

// TagAssignments returns a page of a tag's assignments, newest first, and the token
// of the next one, empty on the last. It returns NotFound for a tag that has none.
func (t *Service) TagAssignments(ctx context.Context, teamID uuid.UUID, name, tag string, pageSize int, pageToken string) ([]TagAssignment, string, error) {
	before, err := cursor.Parse(pageToken, false)
	if err != nil {
		return nil, "", err
	}
	template, err := t.Find(ctx, teamID, name)
	if err != nil {
		return nil, "", err
	}
	found, err := newStore(t.pool).assignments(ctx, template.ID, tag, before, pageSize+1)
	if err != nil {
		return nil, "", err
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
	return found, next, nil
}
