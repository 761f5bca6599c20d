package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// How many of something the routes of tags answer where the client does not say.
const (
	defaultTagAssignments     = 6
	defaultTagGroups          = 25
	defaultTagAssignmentsPage = 50
)

// tagAssignmentAnswer is one time that a tag was given to a build.
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

// nextCursor is null on the last page.
func nextCursor(token string) *string {
	if token == "" {
		return nil
	}
	return &token
}

func (s *Server) countTags(w http.ResponseWriter, r *http.Request) error {
	total, err := s.Templates.CountTags(r.Context(), teamOf(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Total int `json:"total"`
	}{total})
	return nil
}

func (s *Server) findTag(w http.ResponseWriter, r *http.Request) error {
	tag := strings.TrimSpace(r.URL.Query().Get("tag"))
	exists, err := s.Templates.HasTag(r.Context(), teamOf(r), templateParam(r, "templateID"), tag)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
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

func (s *Server) listTagGroups(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	assignments, err := limitParam("assignmentLimit", query.Get("assignmentLimit"), defaultTagAssignments)
	if err != nil {
		return err
	}
	size, err := limitParam("tagsLimit", query.Get("tagsLimit"), defaultTagGroups)
	if err != nil {
		return err
	}
	groups, next, err := s.Templates.TagGroups(r.Context(), teamOf(r), templateParam(r, "templateID"), templates.TagGroupsFilter{
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
	writeJSON(w, http.StatusOK, struct {
		Tags       []tagGroupAnswer `json:"tags"`
		NextCursor *string          `json:"nextCursor"`
	}{answer, nextCursor(next)})
	return nil
}

func (s *Server) listTagAssignments(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := limitParam("limit", query.Get("limit"), defaultTagAssignmentsPage)
	if err != nil {
		return err
	}
	assignments, next, err := s.Templates.TagAssignments(r.Context(), teamOf(r),
		templateParam(r, "templateID"), templateParam(r, "tag"), size, query.Get("cursor"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Data       []tagAssignmentAnswer `json:"data"`
		NextCursor *string               `json:"nextCursor"`
	}{tagAssignmentsOf(assignments), nextCursor(next)})
	return nil
}

func (s *Server) listDefaultTemplates(w http.ResponseWriter, r *http.Request) error {
	rows, err := s.Templates.Defaults(r.Context())
	if err != nil {
		return err
	}
	answer := make([]templateAnswer, 0, len(rows))
	for _, row := range rows {
		answer = append(answer, templateOf(row))
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}
