package templates

import (
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
)

// buildRequest is the body of versions 2 and 3.
type buildRequest struct {
	Name           string   `json:"name"`
	Tags           []string `json:"tags"`
	Alias          string   `json:"alias"`
	TeamID         string   `json:"teamID"`
	CPUCount       *int32   `json:"cpuCount"`
	MemoryMB       *int32   `json:"memoryMB"`
	MinFreeDiskMiB int32    `json:"minFreeDiskMb"`
}

// requestBuild decodes a request and has the service store the build.
func (h *Handlers) requestBuild(r *http.Request) (builds.Requested, error) {
	var body buildRequest
	if err := request.Decode(r, &body); err != nil {
		return builds.Requested{}, err
	}
	if err := ownTeamOnly(r, body.TeamID); err != nil {
		return builds.Requested{}, err
	}
	if body.Name == "" {
		body.Name = body.Alias
	}
	requested, err := h.Builds.Request(r.Context(), request.Team(r), builds.Request{
		By:   auth.PrincipalOf(r.Context()),
		Name: body.Name, Tags: body.Tags, VCPUs: body.CPUCount, MemoryMiB: body.MemoryMB, MinFreeDiskMiB: body.MinFreeDiskMiB,
	})
	if err == nil {
		audit.SetResource(r.Context(), requested.TemplateID)
	}
	return requested, err
}

func (h *Handlers) requestBuildV3(w http.ResponseWriter, r *http.Request) error {
	requested, err := h.requestBuild(r)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusAccepted, struct {
		TemplateID string   `json:"templateID"`
		BuildID    string   `json:"buildID"`
		Public     bool     `json:"public"`
		Names      []string `json:"names"`
		Tags       []string `json:"tags"`
		Aliases    []string `json:"aliases"`
	}{
		requested.TemplateID, requested.ID.String(), requested.Template.Public,
		requested.Template.Names(), requested.AllTags, requested.Template.Aliases,
	})
	return nil
}

// legacyAnswer is a template and the build of it that was asked for.
type legacyAnswer struct {
	TemplateID    string     `json:"templateID"`
	BuildID       string     `json:"buildID"`
	CPUCount      int32      `json:"cpuCount"`
	MemoryMB      int32      `json:"memoryMB"`
	DiskSizeMB    int32      `json:"diskSizeMB"`
	Public        bool       `json:"public"`
	Aliases       []string   `json:"aliases"`
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt"`
	CreatedBy     *creator   `json:"createdBy"`
	LastSpawnedAt *time.Time `json:"lastSpawnedAt"`
	SpawnCount    int64      `json:"spawnCount"`
	BuildCount    int        `json:"buildCount"`
	EnvdVersion   string     `json:"envdVersion"`
}

func (h *Handlers) requestBuildV2(w http.ResponseWriter, r *http.Request) error {
	requested, err := h.requestBuild(r)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusAccepted, legacyOf(requested))
	return nil
}

func legacyOf(requested builds.Requested) legacyAnswer {
	of := requested.Template
	return legacyAnswer{
		TemplateID: of.ID, BuildID: requested.ID.String(), CPUCount: requested.Size.VCPUCount, MemoryMB: requested.Size.MemoryMiB,
		DiskSizeMB: requested.Size.DiskMiB, Public: of.Public, Aliases: of.Aliases, CreatedAt: of.CreatedAt.UTC(), UpdatedAt: of.UpdatedAt.UTC(),
		CreatedBy: creatorOf(of.Creator), LastSpawnedAt: of.LastSpawnedAt, SpawnCount: of.SpawnCount, BuildCount: requested.BuildCount,
	}
}

// ownTeamOnly refuses a team in a body that is not the one that the request is made for.
func ownTeamOnly(r *http.Request, teamID string) error {
	if teamID != "" && teamID != request.Team(r).String() {
		return fault.New(fault.Invalid, "teamID is not the team that the request is made for")
	}
	return nil
}
