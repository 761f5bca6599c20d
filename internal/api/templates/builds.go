package templates

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// maxBuildLogLines is the largest page of a build's log.
const maxBuildLogLines = 100

func (h *Handlers) routeBuilds(router respond.Router) {
	router.Get("/templates/{templateID}/builds/{buildID}/status", h.getBuild)
	router.Get("/templates/{templateID}/builds/{buildID}/logs", h.listBuildLogs)
	for _, pattern := range []string{
		"/templates", "/v2/templates", "/v3/templates", "/templates/{templateID}",
		"/templates/{templateID}/builds/{buildID}", "/v2/templates/{templateID}/builds/{buildID}",
	} {
		router.Post(pattern, h.refuseBuild)
	}
	router.Post("/admin/teams/{teamID}/builds/cancel", h.cancelTeamBuilds)
	router.Get("/templates/{templateID}/files/{hash}", h.refuseBuild)
}

// refuseBuild answers requests for builds, which no host can do yet.
func (h *Handlers) refuseBuild(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.Unsupported, "templates cannot be built yet: prepare a sandbox of an existing template and take a snapshot of it, which is created from as a template is")
}

// buildAnswer is a build of a template.
type buildAnswer struct {
	BuildID     string     `json:"buildID"`
	Status      string     `json:"status"`
	CreatedAt   time.Time  `json:"createdAt"`
	UpdatedAt   time.Time  `json:"updatedAt"`
	FinishedAt  *time.Time `json:"finishedAt,omitempty"`
	CPUCount    int32      `json:"cpuCount"`
	MemoryMB    int32      `json:"memoryMB"`
	DiskSizeMB  int32      `json:"diskSizeMB"`
	EnvdVersion string     `json:"envdVersion"`
}

func buildsOf(found []templates.Build) []buildAnswer {
	builds := make([]buildAnswer, 0, len(found))
	for _, build := range found {
		builds = append(builds, buildAnswer{
			BuildID: build.ID.String(), Status: string(build.Status), CreatedAt: build.CreatedAt.UTC(), UpdatedAt: build.UpdatedAt.UTC(),
			FinishedAt: build.FinishedAt, CPUCount: build.Size.VCPUCount, MemoryMB: build.Size.MemoryMiB, DiskSizeMB: build.Size.DiskMiB,
			EnvdVersion: build.EnvdVersion,
		})
	}
	return builds
}

// getBuild answers without log lines: snapshots, the only builds, have no log.
func (h *Handlers) getBuild(w http.ResponseWriter, r *http.Request) error {
	build, err := h.findBuild(r, "logsOffset")
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, struct {
		Logs       []string   `json:"logs"`
		LogEntries []struct{} `json:"logEntries"`
		TemplateID string     `json:"templateID"`
		BuildID    string     `json:"buildID"`
		Status     string     `json:"status"`
	}{[]string{}, []struct{}{}, build.TemplateID, build.ID.String(), string(build.Status)})
	return nil
}

func (h *Handlers) listBuildLogs(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if !slices.Contains([]string{"", "forward", "backward"}, query.Get("direction")) {
		return fault.New(fault.Invalid, "direction must be forward or backward")
	}
	if !slices.Contains([]string{"", "temporary", "persistent"}, query.Get("source")) {
		return fault.New(fault.Invalid, "source must be temporary or persistent")
	}
	if _, err := h.findBuild(r, "cursor"); err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, map[string][]struct{}{"logs": {}})
	return nil
}

// findBuild finds the build in the path, and checks the part of its log that the query
// asks for. from is the parameter with the first line.
func (h *Handlers) findBuild(r *http.Request, from string) (templates.Build, error) {
	query := r.URL.Query()
	if text := query.Get("limit"); text != "" {
		if limit, err := strconv.Atoi(text); err != nil || limit < 0 || limit > maxBuildLogLines {
			return templates.Build{}, fault.New(fault.Invalid, "limit must be a number from 0 to %d", maxBuildLogLines)
		}
	}
	if text := query.Get(from); text != "" {
		if number, err := strconv.ParseInt(text, 10, 64); err != nil || number < 0 {
			return templates.Build{}, fault.New(fault.Invalid, "%s must be a number from 0 on", from)
		}
	}
	if level := sandbox.Level(query.Get("level")); level != "" && !slices.Contains(sandbox.Levels(), level) {
		return templates.Build{}, fault.New(fault.Invalid, "level must be debug, info, warn or error")
	}
	return h.Templates.Build(r.Context(), request.Team(r), templateParam(r, "templateID"), chi.URLParam(r, "buildID"))
}

func (h *Handlers) cancelTeamBuilds(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.TeamWithoutBody(r)
	if err != nil {
		return err
	}
	cancelled, failed, err := h.Templates.CancelBuilds(r.Context(), teamID)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, map[string]int{"cancelledCount": cancelled, "failedCount": failed})
	return nil
}
