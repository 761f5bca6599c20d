package templates

import (
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/templates"
)

// templateAnswer is a template in a list.
type templateAnswer struct {
	TemplateID    string     `json:"templateID"`
	BuildID       string     `json:"buildID"`
	CPUCount      int32      `json:"cpuCount"`
	MemoryMB      int32      `json:"memoryMB"`
	DiskSizeMB    int32      `json:"diskSizeMB"`
	Public        bool       `json:"public"`
	Aliases       []string   `json:"aliases"`
	Names         []string   `json:"names"`
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt"`
	CreatedBy     *struct{}  `json:"createdBy"`
	LastSpawnedAt *time.Time `json:"lastSpawnedAt"`
	SpawnCount    int64      `json:"spawnCount"`
	BuildCount    int32      `json:"buildCount"`
	EnvdVersion   string     `json:"envdVersion"`
	BuildStatus   string     `json:"buildStatus"`
}

func templateOf(row rows.ListTemplatesRow) templateAnswer {
	return templateAnswer{
		TemplateID: row.ID, BuildID: row.BuildID.String(), CPUCount: row.VCPUCount, MemoryMB: row.MemoryMiB,
		DiskSizeMB: row.DiskMiB, Public: row.Public, Aliases: row.Aliases, Names: templates.Names(row.TeamSlug, row.Aliases),
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(), LastSpawnedAt: row.LastSpawnedAt,
		SpawnCount: row.SpawnCount, BuildCount: row.BuildCount, EnvdVersion: row.EnvdVersion, BuildStatus: row.Status,
	}
}

func (h *Handlers) listTemplates(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	size, err := request.PageSize(query.Get("limit"))
	if err != nil {
		return err
	}
	if team := query.Get("teamID"); team != "" && team != request.Team(r).String() {
		return fault.New(fault.Invalid, "teamID is not the team that the request is made for")
	}
	page, err := h.Templates.List(r.Context(), request.Team(r), size, query.Get("nextToken"))
	if err != nil {
		return err
	}
	if page.NextToken != "" {
		w.Header().Set("X-Next-Token", page.NextToken)
	}
	answer := make([]templateAnswer, 0, len(page.Templates))
	for _, row := range page.Templates {
		answer = append(answer, templateOf(row))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}
