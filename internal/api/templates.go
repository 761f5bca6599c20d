package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// Templates is the service behind the routes of templates.
type Templates interface {
	ListSnapshots(ctx context.Context, teamID uuid.UUID, filter templates.SnapshotFilter) (templates.SnapshotPage, error)
	DeleteSnapshot(ctx context.Context, teamID uuid.UUID, snapshotID string) error
	List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (templates.Page, error)
	Find(ctx context.Context, teamID uuid.UUID, name string) (templates.Template, error)
	FindTagged(ctx context.Context, teamID uuid.UUID, name string) (templates.Template, error)
	FindOwn(ctx context.Context, teamID uuid.UUID, name string) (templates.Template, error)
	Publish(ctx context.Context, teamID uuid.UUID, name string, public *bool) (templates.Template, error)
	Builds(ctx context.Context, templateID string, pageSize int, pageToken string) (templates.BuildPage, error)
	Build(ctx context.Context, teamID uuid.UUID, name, buildID string) (rows.TemplateBuild, error)
	CancelBuilds(ctx context.Context, teamID uuid.UUID) (cancelled, failed int, err error)
	AssignTags(ctx context.Context, teamID uuid.UUID, target string, tags []string) (uuid.UUID, error)
	RemoveTags(ctx context.Context, teamID uuid.UUID, name string, tags []string) error
	Tags(ctx context.Context, teamID uuid.UUID, name string) ([]rows.TemplateTag, error)
	CountTags(ctx context.Context, teamID uuid.UUID, name string) (int, error)
	HasTag(ctx context.Context, teamID uuid.UUID, name, tag string) (bool, error)
	TagGroups(ctx context.Context, teamID uuid.UUID, name string, filter templates.TagGroupsFilter) (groups []templates.TagGroup, next string, err error)
	TagAssignments(ctx context.Context, teamID uuid.UUID, name, tag string, pageSize int, pageToken string) (page []templates.TagAssignment, next string, err error)
	Defaults(ctx context.Context) ([]rows.ListTemplatesRow, error)
}

func (s *Server) routeTemplates(router chi.Router) {
	router.Get("/templates", s.handle(s.listTemplates))
	router.Get("/v2/templates", s.handle(s.listTemplates))
	router.Get("/templates/{templateID}", s.handle(s.getTemplate))
	router.Patch("/templates/{templateID}", s.handle(s.updateTemplateV1))
	router.Patch("/v2/templates/{templateID}", s.handle(s.updateTemplateV2))
	router.Delete("/templates/{templateID}", s.handle(s.deleteTemplate))
	router.Get("/templates/aliases/{alias}", s.handle(s.findTemplate))
	router.Get("/default-templates", s.handle(s.listDefaultTemplates))
	router.Get("/templates/{templateID}/tags", s.handle(s.listTags))
	router.Get("/templates/{templateID}/tags/count", s.handle(s.countTags))
	router.Get("/templates/{templateID}/tags/exists", s.handle(s.findTag))
	router.Get("/templates/{templateID}/tags/groups", s.handle(s.listTagGroups))
	router.Get("/templates/{templateID}/tags/{tag}/assignments", s.handle(s.listTagAssignments))
	router.Post("/templates/tags", s.handle(s.assignTags))
	router.Delete("/templates/tags", s.handle(s.removeTags))
	s.routeBuilds(router)
}

// templateParam is a template's name in a request's path, which may have an
// escaped slash.
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

func (s *Server) getTemplate(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := pageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	found, err := s.Templates.Find(r.Context(), teamOf(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	page, err := s.Templates.Builds(r.Context(), found.ID, size, query.Get("nextToken"))
	if err != nil {
		return err
	}
	if page.NextToken != "" {
		w.Header().Set("X-Next-Token", page.NextToken)
	}
	writeJSON(w, http.StatusOK, templateWithBuilds{
		TemplateID: found.ID, Public: found.Public, Aliases: found.Aliases, Names: found.Names(),
		CreatedAt: found.CreatedAt.UTC(), UpdatedAt: found.UpdatedAt.UTC(),
		LastSpawnedAt: found.LastSpawnedAt, SpawnCount: found.SpawnCount, Builds: buildsOf(page.Builds),
	})
	return nil
}

func (s *Server) findTemplate(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Templates.FindTagged(r.Context(), teamOf(r), templateParam(r, "alias"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		TemplateID string `json:"templateID"`
		Public     bool   `json:"public"`
	}{found.ID, found.Public})
	return nil
}

func (s *Server) updateTemplate(r *http.Request) (templates.Template, error) {
	var body struct {
		Public *bool `json:"public"`
	}
	if err := decode(r, &body); err != nil {
		return templates.Template{}, err
	}
	return s.Templates.Publish(r.Context(), teamOf(r), templateParam(r, "templateID"), body.Public)
}

func (s *Server) updateTemplateV1(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.updateTemplate(r); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) updateTemplateV2(w http.ResponseWriter, r *http.Request) error {
	updated, err := s.updateTemplate(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string][]string{"names": updated.Names()})
	return nil
}

// deleteTemplate is where clients delete snapshots, too.
func (s *Server) deleteTemplate(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Templates.FindOwn(r.Context(), teamOf(r), templateParam(r, "templateID"))
	if err != nil {
		return err
	}
	return noContent(w, s.Templates.DeleteSnapshot(r.Context(), teamOf(r), found.ID))
}
