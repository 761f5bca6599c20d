// Package templates has the handlers of templates, their tags and their builds.
package templates

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// Service is the service of templates.
type Service interface {
	List(ctx context.Context, teamID uuid.UUID, pageSize int, pageToken string) (templates.Page, error)
	Find(ctx context.Context, teamID uuid.UUID, name string) (templates.Template, error)
	FindTagged(ctx context.Context, teamID uuid.UUID, name string) (templates.Template, error)
	FindOwn(ctx context.Context, teamID uuid.UUID, name string) (templates.Template, error)
	Publish(ctx context.Context, teamID uuid.UUID, name string, public *bool) (templates.Template, error)
	Builds(ctx context.Context, templateID string, pageSize int, pageToken string) (templates.BuildPage, error)
	Build(ctx context.Context, teamID uuid.UUID, name, buildID string) (templates.Build, error)
	AssignTags(ctx context.Context, teamID uuid.UUID, target string, tags []string) (uuid.UUID, error)
	RemoveTags(ctx context.Context, teamID uuid.UUID, name string, tags []string) error
	Tags(ctx context.Context, teamID uuid.UUID, name string) ([]templates.Tag, error)
	CountTags(ctx context.Context, teamID uuid.UUID, name string) (int, error)
	HasTag(ctx context.Context, teamID uuid.UUID, name, tag string) (bool, error)
	TagGroups(ctx context.Context, teamID uuid.UUID, name string, filter templates.TagGroupsFilter) (groups []templates.TagGroup, next string, err error)
	TagAssignments(ctx context.Context, teamID uuid.UUID, name, tag string, pageSize int, pageToken string) (page []templates.TagAssignment, next string, err error)
	DeleteSnapshot(ctx context.Context, teamID uuid.UUID, snapshotID string) error
	Defaults(ctx context.Context) ([]templates.Listed, error)
}

// Builds is the service of builds.
type Builds interface {
	Request(ctx context.Context, teamID uuid.UUID, wanted builds.Request) (builds.Requested, error)
	Start(ctx context.Context, teamID uuid.UUID, template, buildID string, definition build.Definition, confidential build.Confidential) error
	Files(ctx context.Context, teamID uuid.UUID, template, hash string) (present bool, upload builds.Upload, err error)
	Status(ctx context.Context, teamID, buildID uuid.UUID, least build.Level, skipped int64, most int) (builds.Status, error)
	ReadLog(ctx context.Context, teamID, buildID uuid.UUID, query builds.LogQuery) ([]build.LogEntry, error)
	Cancel(ctx context.Context, teamID uuid.UUID, template, buildID string) error
	CancelOfTeam(ctx context.Context, teamID uuid.UUID) (cancelled, failed int, err error)
	DeleteTemplate(ctx context.Context, teamID uuid.UUID, name string) error
}

// Handlers has what the handlers use.
type Handlers struct {
	Templates Service
	Builds    Builds
	// PublicURL is the server's own, and BehindProxy reports whether a trusted proxy has
	// forwarded a request.
	PublicURL   string
	BehindProxy func(*http.Request) bool
}

// Route registers the routes.
func (h *Handlers) Route(router respond.Router) {
	router.Get("/templates", h.listTemplates)
	router.Get("/v2/templates", h.listTemplates)
	router.Get("/templates/{templateID}", h.getTemplate)
	router.Patch("/templates/{templateID}", h.updateTemplateV1)
	router.Patch("/v2/templates/{templateID}", h.updateTemplateV2)
	router.Delete("/templates/{templateID}", h.deleteTemplate)
	router.Get("/templates/aliases/{alias}", h.findTemplate)
	router.Get("/default-templates", h.listDefaultTemplates)
	router.Get("/templates/{templateID}/tags", h.listTags)
	router.Get("/templates/{templateID}/tags/count", h.countTags)
	router.Get("/templates/{templateID}/tags/exists", h.findTag)
	router.Get("/templates/{templateID}/tags/groups", h.listTagGroups)
	router.Get("/templates/{templateID}/tags/{tag}/assignments", h.listTagAssignments)
	router.Post("/templates/tags", h.assignTags)
	router.Delete("/templates/tags", h.removeTags)
	h.routeBuilds(router)
}
