package templates

import (
	"errors"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/dockerfile"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/builds"
)

// dockerfileBody is a Dockerfile and how it is to be read.
type dockerfileBody struct {
	Content   string            `json:"content"`
	Target    string            `json:"target"`
	BuildArgs map[string]string `json:"buildArgs"`
	// Files are the hashes of uploads by the names of the steps that copy them.
	Files map[string]string `json:"files"`
}

func (d dockerfileBody) plan() (*dockerfile.Plan, error) {
	plan, err := dockerfile.Parse(strings.NewReader(d.Content), dockerfile.Options{Target: d.Target, Arguments: d.BuildArgs})
	if err != nil {
		return nil, fault.New(fault.Invalid, "dockerfile: %s", err)
	}
	return plan, nil
}

// plannedStep is a step of a Dockerfile.
type plannedStep struct {
	Step string `json:"step"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// plannedUpload is what a step copies from the build's directory.
type plannedUpload struct {
	Step     string   `json:"step"`
	Line     int      `json:"line"`
	Sources  []string `json:"sources"`
	Excludes []string `json:"excludes"`
}

// planWarning is about an instruction that has no effect.
type planWarning struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// planDockerfile answers what a build of a Dockerfile does, and which files it copies.
func (h *Handlers) planDockerfile(w http.ResponseWriter, r *http.Request) error {
	var body dockerfileBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	plan, err := body.plan()
	if err != nil {
		return err
	}
	answer := struct {
		Steps    []plannedStep   `json:"steps"`
		Uploads  []plannedUpload `json:"uploads"`
		Images   []string        `json:"images"`
		ReadyCmd string          `json:"readyCmd,omitempty"`
		Warnings []planWarning   `json:"warnings"`
	}{[]plannedStep{}, []plannedUpload{}, append([]string{}, plan.Images()...), plan.ReadyCommand, []planWarning{}}
	for _, stage := range plan.Stages {
		for _, step := range stage.Steps {
			answer.Steps = append(answer.Steps, plannedStep{step.Name, step.Line, step.Text})
		}
	}
	for _, upload := range plan.Uploads {
		answer.Uploads = append(answer.Uploads, plannedUpload{upload.Step, upload.Line, upload.Sources, append([]string{}, upload.Excludes...)})
	}
	for _, warning := range plan.Warnings {
		answer.Warnings = append(answer.Warnings, planWarning(warning))
	}
	respond.JSON(w, http.StatusOK, answer)
	return nil
}

// dockerfileOrder is a build of a Dockerfile, with what only it has.
func (b startBody) dockerfileOrder() (build.Definition, build.Confidential, error) {
	var confidential build.Confidential
	if b.FromImage != "" || b.FromTemplate != "" || b.FromImageRegistry != nil || len(b.Steps) > 0 {
		return build.Definition{}, confidential, fault.New(fault.Invalid, "dockerfile cannot be combined with fromImage, fromTemplate, fromImageRegistry and steps")
	}
	plan, err := b.Dockerfile.plan()
	if err != nil {
		return build.Definition{}, confidential, err
	}
	return b.orderOf(plan)
}

// orderOf is a build of a Dockerfile that has been read.
func (b startBody) orderOf(plan *dockerfile.Plan) (build.Definition, build.Confidential, error) {
	var confidential build.Confidential
	if err := plan.SetFiles(b.Dockerfile.Files); err != nil {
		return build.Definition{}, confidential, fault.New(fault.Invalid, "dockerfile.files: %s", err)
	}
	if err := plan.CheckSecrets(b.Secrets); err != nil {
		return build.Definition{}, confidential, fault.New(fault.Invalid, "dockerfile: %s", err)
	}
	definition := build.Definition{
		Stages: plan.Stages, StartCommand: b.StartCommand, ReadyCommand: b.ReadyCommand, Force: b.Force,
		UseImageCommand: b.StartCommand == "", ImageDefaults: true,
	}
	if definition.ReadyCommand == "" {
		definition.ReadyCommand = plan.ReadyCommand
	}
	confidential.Secrets = b.Secrets
	var err error
	confidential.Registries, err = registriesOf(plan.Images(), b.Registries)
	return definition, confidential, err
}

// registriesOf gives each image the credentials of its registry.
func registriesOf(images []string, registries map[string]*registryBody) (map[string]build.Credentials, error) {
	byImage := map[string]build.Credentials{}
	for host, registry := range registries {
		credentials, err := registry.credentials()
		if err != nil || credentials == nil {
			return nil, errors.Join(fault.New(fault.Invalid, "registries: those of %.128q are not complete", host), err)
		}
		for _, image := range images {
			if registryOf(image) == host {
				byImage[image] = *credentials
			}
		}
	}
	return byImage, nil
}

// registryOf is the registry's host of an image's reference, as Docker reads it.
func registryOf(reference string) string {
	host, _, hasPath := strings.Cut(reference, "/")
	if hasPath && (strings.ContainsAny(host, ".:") || host == "localhost") {
		return host
	}
	return "docker.io"
}

// legacyRequest is the body of version 1, with all of a build.
type legacyRequest struct {
	Alias        string `json:"alias"`
	Dockerfile   string `json:"dockerfile"`
	TeamID       string `json:"teamID"`
	StartCommand string `json:"startCmd"`
	ReadyCommand string `json:"readyCmd"`
	CPUCount     *int32 `json:"cpuCount"`
	MemoryMB     *int32 `json:"memoryMB"`
}

// requestDockerfile requests and starts a build of a Dockerfile that copies no files of a
// directory: version 1 has no upload.
func (h *Handlers) requestDockerfile(w http.ResponseWriter, r *http.Request) error {
	var body legacyRequest
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if err := ownTeamOnly(r, body.TeamID); err != nil {
		return err
	}
	start := startBody{
		Dockerfile: &dockerfileBody{Content: body.Dockerfile}, StartCommand: body.StartCommand, ReadyCommand: body.ReadyCommand,
	}
	plan, err := start.Dockerfile.plan()
	if err != nil {
		return err
	}
	if len(plan.Uploads) > 0 {
		return fault.New(fault.Invalid, "dockerfile: line %d: files of a directory cannot be copied by this route; use wrenn template build, or POST /v3/templates", plan.Uploads[0].Line)
	}
	definition, confidential, err := start.orderOf(plan)
	if err != nil {
		return err
	}
	requested, err := h.Builds.Request(r.Context(), request.Team(r), builds.Request{
		By:   auth.PrincipalOf(r.Context()),
		Name: body.Alias, TemplateID: templateParam(r, "templateID"), VCPUs: body.CPUCount, MemoryMiB: body.MemoryMB,
	})
	if err != nil {
		return err
	}
	err = h.Builds.Start(r.Context(), request.Team(r), requested.TemplateID, requested.ID.String(), definition, confidential)
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), requested.TemplateID)
	respond.JSON(w, http.StatusAccepted, legacyOf(requested))
	return nil
}

// startDockerfile answers clients of version 1, whose builds were started by their
// request.
func (h *Handlers) startDockerfile(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.Templates.Build(r.Context(), request.Team(r), templateParam(r, "templateID"), chi.URLParam(r, "buildID")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
