package templates

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
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
	CreatedBy     *creator   `json:"createdBy"`
	LastSpawnedAt *time.Time `json:"lastSpawnedAt"`
	SpawnCount    int64      `json:"spawnCount"`
	BuildCount    int        `json:"buildCount"`
	EnvdVersion   string     `json:"envdVersion"`
	BuildStatus   string     `json:"buildStatus"`
}

// creator is the user who had a template built first.
type creator struct {
	ID    uuid.UUID `json:"id"`
	Email *string   `json:"email"`
}

func creatorOf(of *templates.Creator) *creator {
	switch {
	case of == nil:
		return nil
	case of.Email == "":
		return &creator{ID: of.ID}
	default:
		return &creator{of.ID, &of.Email}
	}
}

func templateOf(template templates.Listed) templateAnswer {
	build := template.Newest
	return templateAnswer{
		TemplateID: template.ID, BuildID: build.ID.String(), CPUCount: build.Size.VCPUCount, MemoryMB: build.Size.MemoryMiB,
		DiskSizeMB: build.Size.DiskMiB, Public: template.Public, Aliases: template.Aliases, Names: template.Names(),
		CreatedBy: creatorOf(template.Creator),
		CreatedAt: template.CreatedAt.UTC(), UpdatedAt: template.UpdatedAt.UTC(), LastSpawnedAt: template.LastSpawnedAt,
		SpawnCount: template.SpawnCount, BuildCount: template.BuildCount, EnvdVersion: build.EnvdVersion, BuildStatus: string(build.Status),
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
	for _, template := range page.Templates {
		answer = append(answer, templateOf(template))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}
