package templates

import (
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

// tagAnswer is a tag and the build that it is assigned to.
type tagAnswer struct {
	Tag       string    `json:"tag"`
	BuildID   string    `json:"buildID"`
	CreatedAt time.Time `json:"createdAt"`
}

func (h *Handlers) listTags(w http.ResponseWriter, r *http.Request) error {
	tags, err := h.Templates.Tags(r.Context(), request.Team(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	answer := make([]tagAnswer, 0, len(tags))
	for _, tag := range tags {
		answer = append(answer, tagAnswer{tag.Name, tag.BuildID.String(), tag.AssignedAt.UTC()})
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) assignTags(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Target string   `json:"target"`
		Tags   []string `json:"tags"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	buildID, err := h.Templates.AssignTags(r.Context(), request.Team(r), body.Target, body.Tags)
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), body.Target)
	respond.JSON(w, http.StatusCreated, struct {
		Tags    []string `json:"tags"`
		BuildID string   `json:"buildID"`
	}{body.Tags, buildID.String()})
	return nil
}

func (h *Handlers) removeTags(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if err := h.Templates.RemoveTags(r.Context(), request.Team(r), body.Name, body.Tags); err != nil {
		return err
	}
	audit.SetResource(r.Context(), body.Name)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
