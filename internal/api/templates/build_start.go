package templates

import (
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// registryBody has the fields of all kinds of registries.
type registryBody struct {
	Type               string `json:"type"`
	Username           string `json:"username"`
	Password           string `json:"password"`
	AWSAccessKeyID     string `json:"awsAccessKeyId"`
	AWSSecretAccessKey string `json:"awsSecretAccessKey"`
	AWSRegion          string `json:"awsRegion"`
	ServiceAccountJSON string `json:"serviceAccountJson"`
}

// startBody is what a build is to do. Clients send more of each step, which is about the
// upload alone.
type startBody struct {
	FromImage         string        `json:"fromImage"`
	FromTemplate      string        `json:"fromTemplate"`
	FromImageRegistry *registryBody `json:"fromImageRegistry"`
	Force             bool          `json:"force"`
	Steps             []struct {
		Type            string   `json:"type"`
		Args            []string `json:"args"`
		FilesHash       string   `json:"filesHash"`
		Force           bool     `json:"force"`
		ForceUpload     *bool    `json:"forceUpload"`
		ResolveSymlinks *bool    `json:"resolveSymlinks"`
		Gzip            *bool    `json:"gzip"`
	} `json:"steps"`
	StartCommand string `json:"startCmd"`
	ReadyCommand string `json:"readyCmd"`

	// The rest is Wrenn's own. UseImageCommand starts the image's entrypoint and command
	// where there is no startCmd, and its steps begin as those of a Dockerfile.
	UseImageCommand bool `json:"useImageCommand"`
	// Init is the template's first process: empty for Wrenn's, or "systemd".
	Init string `json:"init"`
	// Dockerfile stands in place of FromImage, FromTemplate and Steps.
	Dockerfile *dockerfileBody `json:"dockerfile"`
	// Secrets are those of a Dockerfile's steps, by ID.
	Secrets map[string][]byte `json:"secrets"`
	// Registries open the registries of a Dockerfile's images, by their hosts.
	Registries map[string]*registryBody `json:"registries"`
}

// credentials returns nil where there is no registry.
func (r *registryBody) credentials() (*build.Credentials, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // no registry
	}
	missing := func(fields string) error { return fault.New(fault.Invalid, "fromImageRegistry needs %s", fields) }
	switch r.Type {
	case "registry":
		if r.Username == "" || r.Password == "" {
			return nil, missing("username and password")
		}
		return &build.Credentials{Basic: &build.BasicCredentials{Username: r.Username, Password: r.Password}}, nil
	case "aws":
		if r.AWSAccessKeyID == "" || r.AWSSecretAccessKey == "" || r.AWSRegion == "" {
			return nil, missing("awsAccessKeyId, awsSecretAccessKey and awsRegion")
		}
		return &build.Credentials{AWS: &build.AWSCredentials{
			AccessKeyID: r.AWSAccessKeyID, SecretAccessKey: r.AWSSecretAccessKey, Region: r.AWSRegion,
		}}, nil
	case "gcp":
		if !json.Valid([]byte(r.ServiceAccountJSON)) {
			return nil, missing("serviceAccountJson, which is JSON")
		}
		return &build.Credentials{Google: &build.GoogleCredentials{ServiceAccountJSON: r.ServiceAccountJSON}}, nil
	default:
		return nil, fault.New(fault.Invalid, "fromImageRegistry.type must be registry, aws or gcp")
	}
}

// definition checks and converts what is to be built.
func (b startBody) definition() (build.Definition, build.Confidential, error) {
	if b.Dockerfile != nil {
		return b.dockerfileOrder()
	}
	if len(b.Secrets) > 0 || len(b.Registries) > 0 {
		return build.Definition{}, build.Confidential{}, fault.New(fault.Invalid, "secrets and registries are only for a dockerfile")
	}
	registry, err := b.FromImageRegistry.credentials()
	if err != nil {
		return build.Definition{}, build.Confidential{}, err
	}
	order := build.Order{
		FromImage: b.FromImage, FromTemplate: b.FromTemplate, Registry: registry, Force: b.Force,
		StartCommand: b.StartCommand, ReadyCommand: b.ReadyCommand, UseImageCommand: b.UseImageCommand,
	}
	for _, step := range b.Steps {
		order.Steps = append(order.Steps, build.Instruction{Type: step.Type, Args: step.Args, FilesHash: step.FilesHash, Force: step.Force})
	}
	return order.Definition()
}

func (h *Handlers) startBuild(w http.ResponseWriter, r *http.Request) error {
	var body startBody
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if body.Init != "" && body.Init != "systemd" {
		return fault.New(fault.Invalid, "init must be systemd, or be left out")
	}
	definition, confidential, err := body.definition()
	if err != nil {
		return err
	}
	definition.Init = body.Init
	err = h.Builds.Start(r.Context(), request.Team(r), templateParam(r, "templateID"), chi.URLParam(r, "buildID"), definition, confidential)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (h *Handlers) cancelBuild(w http.ResponseWriter, r *http.Request) error {
	if err := request.Decode(r, &struct{}{}); err != nil {
		return err
	}
	return respond.NoContent(w, h.Builds.Cancel(r.Context(), request.Team(r), templateParam(r, "templateID"), chi.URLParam(r, "buildID")))
}

func (h *Handlers) cancelTeamBuilds(w http.ResponseWriter, r *http.Request) error {
	teamID, err := request.TeamWithoutBody(r)
	if err != nil {
		return err
	}
	cancelled, failed, err := h.Builds.CancelOfTeam(r.Context(), teamID)
	if err != nil {
		return err
	}
	respond.JSON(w, http.StatusOK, map[string]int{"cancelledCount": cancelled, "failedCount": failed})
	return nil
}
