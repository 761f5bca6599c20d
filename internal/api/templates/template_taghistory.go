package templates

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// The default sizes of pages of tags and their assignments.
const (
	defaultTagAssignments     = 6
	defaultTagGroups          = 25
	defaultTagAssignmentsPage = 50
)

// tagAssignmentAnswer is an assignment of a tag to a build.
type tagAssignmentAnswer struct {
	AssignmentID    uuid.UUID  `json:"assignmentId"`
	BuildID         uuid.UUID  `json:"buildId"`
	AssignedAt      time.Time  `json:"assignedAt"`
	BuildCreatedAt  time.Time  `json:"buildCreatedAt"`
	BuildFinishedAt *time.Time `json:"buildFinishedAt"`
}

func tagAssignmentsOf(assignments []templates.TagAssignment) []tagAssignmentAnswer {
	answer := make([]tagAssignmentAnswer, 0, len(assignments))
	for _, a := range assignments {
		answer = append(answer, tagAssignmentAnswer{a.ID, a.BuildID, a.AssignedAt.UTC(), a.BuildCreatedAt.UTC(), a.BuildFinishedAt})
	}
	return answer
}

// nextCursor returns nil, null in JSON, on the last page.
func nextCursor(token string) *string {
	if token == "" {
		return nil
	}
	return &token
}

func (h *Handlers) countTags(w http.ResponseWriter, r *http.Request) error {
	total, err := h.Templates.CountTags(r.Context(), request.Team(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		Total int `json:"total"`
	}{total})
	return nil
}

func (h *Handlers) findTag(w http.ResponseWriter, r *http.Request) error {
	tag := strings.TrimSpace(r.URL.Query().Get("tag"))
	exists, err := h.Templates.HasTag(r.Context(), request.Team(r), templateParam(r, "templateID"), tag)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		Exists        bool   `json:"exists"`
		NormalizedTag string `json:"normalizedTag"`
	}{exists, tag})
	return nil
}

// tagGroupAnswer is a tag and its newest assignments.
type tagGroupAnswer struct {
	Tag         string                `json:"tag"`
	Assignments []tagAssignmentAnswer `json:"assignments"`
	HasMore     bool                  `json:"hasMore"`
}

func (h *Handlers) listTagGroups(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	assignments, err := request.Limit("assignmentLimit", query.Get("assignmentLimit"), defaultTagAssignments)
	if err != nil {
		return err
	}
	size, err := request.Limit("tagsLimit", query.Get("tagsLimit"), defaultTagGroups)
	if err != nil {
		return err
	}
	groups, next, err := h.Templates.TagGroups(r.Context(), request.Team(r), templateParam(r, "templateID"), templates.TagGroupsFilter{
		AssignmentLimit: assignments, PageSize: size, PageToken: query.Get("tagsCursor"),
		Search: query.Get("search"), Sort: templates.TagSort(query.Get("sort")),
	})
	if err != nil {
		return err
	}
	answer := make([]tagGroupAnswer, 0, len(groups))
	for _, group := range groups {
		answer = append(answer, tagGroupAnswer{group.Tag, tagAssignmentsOf(group.Assignments), group.HasMore})
	}
	respond.JSON(w, http.StatusOK, struct {
		Tags       []tagGroupAnswer `json:"tags"`
		NextCursor *string          `json:"nextCursor"`
	}{answer, nextCursor(next)})
	return nil
}

func (h *Handlers) listTagAssignments(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := request.Limit("limit", query.Get("limit"), defaultTagAssignmentsPage)
	if err != nil {
		return err
	}
	assignments, next, err := h.Templates.TagAssignments(r.Context(), request.Team(r),
		templateParam(r, "templateID"), templateParam(r, "tag"), size, query.Get("cursor"))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		Data       []tagAssignmentAnswer `json:"data"`
		NextCursor *string               `json:"nextCursor"`
	}{tagAssignmentsOf(assignments), nextCursor(next)})
	return nil
}

func (h *Handlers) listDefaultTemplates(w http.ResponseWriter, r *http.Request) error {
	rows, err := h.Templates.Defaults(r.Context())
	if err != nil {
		return err
	}
	answer := make([]templateAnswer, 0, len(rows))
	for _, row := range rows {
		answer = append(answer, templateOf(row))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}
