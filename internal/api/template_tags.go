package api

import (
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

// tagAnswer is a tag and the build that it stands for.
type tagAnswer struct {
	Tag       string    `json:"tag"`
	BuildID   string    `json:"buildID"`
	CreatedAt time.Time `json:"createdAt"`
}

func (s *Server) listTags(w http.ResponseWriter, r *http.Request) error {
	tags, err := s.Templates.Tags(r.Context(), teamOf(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	answer := make([]tagAnswer, 0, len(tags))
	for _, tag := range tags {
		answer = append(answer, tagAnswer{tag.Tag, tag.BuildID.String(), tag.CreatedAt.UTC()})
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (s *Server) assignTags(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Target string   `json:"target"`
		Tags   []string `json:"tags"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	buildID, err := s.Templates.AssignTags(r.Context(), teamOf(r), body.Target, body.Tags)
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), body.Target)
	writeJSON(w, http.StatusCreated, struct {
		Tags    []string `json:"tags"`
		BuildID string   `json:"buildID"`
	}{body.Tags, buildID.String()})
	return nil
}

func (s *Server) removeTags(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := s.Templates.RemoveTags(r.Context(), teamOf(r), body.Name, body.Tags); err != nil {
		return err
	}
	audit.SetResource(r.Context(), body.Name)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
