package templates

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// templateParam returns a template's name in the path, which may have an escaped slash.
func templateParam(r *http.Request, param string) string {
	value := chi.URLParam(r, param)
	if r.URL.RawPath == "" {
		return value // unescaped already
	}
	plain, err := url.PathUnescape(value)
	if err != nil {
		return value // names nothing
	}
	return plain
}

// templateWithBuilds is a template and a page of its builds.
type templateWithBuilds struct {
	TemplateID    string        `json:"templateID"`
	Public        bool          `json:"public"`
	Aliases       []string      `json:"aliases"`
	Names         []string      `json:"names"`
	CreatedAt     time.Time     `json:"createdAt"`
	UpdatedAt     time.Time     `json:"updatedAt"`
	LastSpawnedAt *time.Time    `json:"lastSpawnedAt"`
	SpawnCount    int64         `json:"spawnCount"`
	Builds        []buildAnswer `json:"builds"`
}

func (h *Handlers) getTemplate(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := request.PageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	found, err := h.Templates.Find(r.Context(), request.Team(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	page, err := h.Templates.Builds(r.Context(), found.ID, size, query.Get("nextToken"))
	if err != nil {
		return err
	}
	if page.NextToken != "" {
		w.Header().Set("X-Next-Token", page.NextToken)
	}
	respond.JSON(w, http.StatusOK, templateWithBuilds{
		TemplateID: found.ID, Public: found.Public, Aliases: found.Aliases, Names: found.Names(),
		CreatedAt: found.CreatedAt.UTC(), UpdatedAt: found.UpdatedAt.UTC(),
		LastSpawnedAt: found.LastSpawnedAt, SpawnCount: found.SpawnCount, Builds: buildsOf(page.Builds),
	})
	return nil
}

func (h *Handlers) findTemplate(w http.ResponseWriter, r *http.Request) error {
	found, err := h.Templates.FindTagged(r.Context(), request.Team(r), templateParam(r, "alias"))
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		TemplateID string `json:"templateID"`
		Public     bool   `json:"public"`
	}{found.ID, found.Public})
	return nil
}

func (h *Handlers) updateTemplate(r *http.Request) (templates.Template, error) {
	var body struct {
		Public *bool `json:"public"`
	}
	if err := request.Decode(r, &body); err != nil {
		return templates.Template{}, err
	}
	return h.Templates.Publish(r.Context(), request.Team(r), templateParam(r, "templateID"), body.Public)
}

func (h *Handlers) updateTemplateV1(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.updateTemplate(r); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handlers) updateTemplateV2(w http.ResponseWriter, r *http.Request) error {
	updated, err := h.updateTemplate(r)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, map[string][]string{"names": updated.Names()})
	return nil
}

// deleteTemplate deletes a template or a snapshot.
func (h *Handlers) deleteTemplate(w http.ResponseWriter, r *http.Request) error {
	found, err := h.Templates.FindOwn(r.Context(), request.Team(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	err = h.Templates.DeleteSnapshot(r.Context(), request.Team(r), found.ID)
	if fault.Is(err, fault.NotFound) { // it is no snapshot
		err = h.Builds.DeleteTemplate(r.Context(), request.Team(r), found.ID)
	}
	return respond.NoContent(w, err)
}
