package templates

import (
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
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
	if body.TeamID != "" && body.TeamID != request.Team(r).String() {
		return builds.Requested{}, fault.New(fault.Invalid, "teamID is not the team that the request is made for")
	}
	if body.Name == "" {
		body.Name = body.Alias
	}
	requested, err := h.Builds.Request(r.Context(), request.Team(r), builds.Request{
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
	CreatedBy     *struct{}  `json:"createdBy"`
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
	of := requested.Template
	respond.JSON(w, http.StatusAccepted, legacyAnswer{
		TemplateID: of.ID, BuildID: requested.ID.String(), CPUCount: requested.Size.VCPUCount, MemoryMB: requested.Size.MemoryMiB,
		DiskSizeMB: requested.Size.DiskMiB, Public: of.Public, Aliases: of.Aliases, CreatedAt: of.CreatedAt.UTC(), UpdatedAt: of.UpdatedAt.UTC(),
		LastSpawnedAt: of.LastSpawnedAt, SpawnCount: of.SpawnCount, BuildCount: requested.BuildCount,
	})
	return nil
}

// refuseDockerfile answers requests of version 1, which bring a Dockerfile.
func (h *Handlers) refuseDockerfile(http.ResponseWriter, *http.Request) error {
	return fault.New(fault.Unsupported, "a Dockerfile cannot be built on the server yet: E2B's clients read it themselves and send its steps with POST /v2/templates/{templateID}/builds/{buildID}")
}
