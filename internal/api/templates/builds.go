package templates

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// maxBuildLogLines is the largest page of a build's log.
const maxBuildLogLines = 100

func (h *Handlers) routeBuilds(router respond.Router) {
	router.Get("/templates/{templateID}/builds/{buildID}/status", h.getBuild)
	router.Get("/templates/{templateID}/builds/{buildID}/logs", h.listBuildLogs)
	router.Post("/v3/templates", h.requestBuildV3)
	router.Post("/v2/templates", h.requestBuildV2)
	router.Post("/v2/templates/{templateID}/builds/{buildID}", h.startBuild)
	router.Get("/templates/{templateID}/files/{hash}", h.getUpload)
	router.Post("/templates/{templateID}/builds/{buildID}/cancel", h.cancelBuild)
	router.Post("/admin/teams/{teamID}/builds/cancel", h.cancelTeamBuilds)
	router.Post("/dockerfiles/plan", h.planDockerfile)
	router.Post("/templates", h.requestDockerfile)
	router.Post("/templates/{templateID}", h.requestDockerfile)
	router.Post("/templates/{templateID}/builds/{buildID}", h.startDockerfile)
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

// logEntryAnswer is one line of a build's log.
type logEntryAnswer struct {
	Timestamp time.Time   `json:"timestamp"`
	Message   string      `json:"message"`
	Level     build.Level `json:"level"`
	Step      string      `json:"step,omitempty"`
}

func logEntriesOf(entries []build.LogEntry) []logEntryAnswer {
	answer := make([]logEntryAnswer, 0, len(entries))
	for _, entry := range entries {
		answer = append(answer, logEntryAnswer{entry.At.UTC(), entry.Text, entry.Level, entry.Step})
	}
	return answer
}

// reasonAnswer is why a build has failed.
type reasonAnswer struct {
	Message    string           `json:"message"`
	Step       string           `json:"step,omitempty"`
	Cause      build.Cause      `json:"cause"`
	LogEntries []logEntryAnswer `json:"logEntries"`
}

// statusAnswer is how a build is. logs is for E2B's older clients, and is empty.
type statusAnswer struct {
	Logs       []string         `json:"logs"`
	LogEntries []logEntryAnswer `json:"logEntries"`
	TemplateID string           `json:"templateID"`
	BuildID    string           `json:"buildID"`
	Status     string           `json:"status"`
	Reason     *reasonAnswer    `json:"reason,omitempty"`
}

func (h *Handlers) getBuild(w http.ResponseWriter, r *http.Request) error {
	found, part, err := h.findBuild(r, "logsOffset")
	if err != nil {
		return err
	}
	status, err := h.Builds.Status(r.Context(), request.Team(r), found.ID, part.level, part.from, part.limit)
	if err != nil {
		return err
	}
	answer := statusAnswer{
		Logs: []string{}, LogEntries: logEntriesOf(status.Entries), TemplateID: found.TemplateID, BuildID: found.ID.String(),
		Status: string(found.Status),
	}
	if reason := status.Reason; reason != nil && found.Status == templates.StatusFailed {
		answer.Reason = &reasonAnswer{reason.Message, reason.Step, reason.Cause, logEntriesOf(reason.Entries)}
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

func (h *Handlers) listBuildLogs(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	if !slices.Contains([]string{"", "forward", "backward"}, query.Get("direction")) {
		return fault.New(fault.Invalid, "direction must be forward or backward")
	}
	// All entries are in one place.
	if !slices.Contains([]string{"", "temporary", "persistent"}, query.Get("source")) {
		return fault.New(fault.Invalid, "source must be temporary or persistent")
	}
	found, part, err := h.findBuild(r, "cursor")
	if err != nil {
		return err
	}
	wanted := builds.LogQuery{Backward: query.Get("direction") == "backward", Least: part.level, Most: part.limit}
	if query.Get("cursor") != "" {
		wanted.Cursor = time.UnixMilli(part.from)
	}
	entries, err := h.Builds.ReadLog(r.Context(), request.Team(r), found.ID, wanted)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, map[string][]logEntryAnswer{"logs": logEntriesOf(entries)})
	return nil
}

// logPart is the part of a log that a query asks for.
type logPart struct {
	from  int64
	limit int
	level build.Level
}

// maxLogPlace bounds offsets, and times in milliseconds since 1970 to what can be stored.
const maxLogPlace = 253_402_300_799_000

// findBuild finds the build in the path, and reads which part of its log the query asks
// for. from is the parameter with the first line.
func (h *Handlers) findBuild(r *http.Request, from string) (found templates.Build, part logPart, err error) {
	query := r.URL.Query()
	part.limit = maxBuildLogLines
	if text := query.Get("limit"); text != "" {
		if part.limit, err = strconv.Atoi(text); err != nil || part.limit < 0 || part.limit > maxBuildLogLines {
			return found, part, fault.New(fault.Invalid, "limit must be a number from 0 to %d", maxBuildLogLines)
		}
	}
	if text := query.Get(from); text != "" {
		if part.from, err = strconv.ParseInt(text, 10, 64); err != nil || part.from < 0 || part.from > maxLogPlace {
			return found, part, fault.New(fault.Invalid, "%s must be a number from 0 on", from)
		}
	}
	if part.level = build.Level(query.Get("level")); part.level != "" && !slices.Contains(build.Levels(), part.level) {
		return found, part, fault.New(fault.Invalid, "level must be debug, info, warn or error")
	}
	found, err = h.Templates.Build(r.Context(), request.Team(r), templateParam(r, "templateID"), chi.URLParam(r, "buildID"))
	return found, part, err
}
