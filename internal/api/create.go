package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service"
)

// The times to live of the two versions of the API, where a client names none.
const (
	defaultTimeoutV1 = 15
	defaultTimeoutV2 = 300
)

// newSandbox is the body of a create. Fields of another server's features are
// read only to refuse what asks for them.
type newSandbox struct {
	TemplateID          string            `json:"templateID"`
	Timeout             *int32            `json:"timeout"`
	AutoPause           bool              `json:"autoPause"`
	AutoPauseMemory     *bool             `json:"autoPauseMemory"`
	AutoResume          *enabled          `json:"autoResume"`
	Secure              *bool             `json:"secure"`
	AllowInternetAccess *bool             `json:"allow_internet_access"`
	Network             db.Network        `json:"network"`
	Metadata            map[string]string `json:"metadata"`
	EnvVars             map[string]string `json:"envVars"`
	// MCP is what the SDK starts itself in the sandbox, which it asks for with a
	// template that has the gateway.
	MCP map[string]json.RawMessage `json:"mcp"`
	IAM json.RawMessage            `json:"iam"`

	VolumeMounts []service.VolumeMount `json:"volumeMounts"`
	// Placement is ours: what is asked of the host.
	Placement struct {
		HostTags []string `json:"hostTags"`
		Group    string   `json:"group"`
		Spread   string   `json:"spread"`
	} `json:"placement"`
}

type enabled struct {
	Enabled bool `json:"enabled"`
}

// unsupported names the first feature that is asked for and not there.
func (n newSandbox) unsupported() error {
	return refuseSet(map[string]json.RawMessage{
		"iam": n.IAM,
	})
}

// refuseSet refuses a request that asks for what is not there, by the name that
// comes first.
func refuseSet(features map[string]json.RawMessage) error {
	for _, name := range slices.Sorted(maps.Keys(features)) {
		if isSet(features[name]) {
			return fault.New(fault.Invalid, "%s is not supported by this server", name)
		}
	}
	return nil
}

func (s *Server) createSandboxV1(w http.ResponseWriter, r *http.Request) error {
	return s.createSandbox(w, r, defaultTimeoutV1)
}

func (s *Server) createSandboxV2(w http.ResponseWriter, r *http.Request) error {
	return s.createSandbox(w, r, defaultTimeoutV2)
}

func (s *Server) createSandbox(w http.ResponseWriter, r *http.Request, defaultTimeout int32) error {
	var body newSandbox
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := body.unsupported(); err != nil {
		return err
	}
	if err := mayUseSecrets(r, body.Network.Rules); err != nil {
		return err
	}
	sandbox, err := s.Sandboxes.Create(r.Context(), teamOf(r), service.NewSandbox{
		Template: body.TemplateID, TimeoutSeconds: orDefault(body.Timeout, defaultTimeout), AutoPause: body.AutoPause,
		AutoPauseWithoutMemory: !orDefault(body.AutoPauseMemory, true), AutoResume: orDefault(body.AutoResume, enabled{}).Enabled,
		Insecure:            !orDefault(body.Secure, true),
		AllowInternetAccess: body.AllowInternetAccess, Network: body.Network,
		Metadata: body.Metadata, EnvVars: body.EnvVars, Affinity: service.Affinity(body.Placement),
		VolumeMounts: body.VolumeMounts,
	})
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), sandbox.ID)
	return s.answerSandbox(w, r, http.StatusCreated, sandbox)
}

func orDefault[T any](value *T, byDefault T) T {
	if value == nil {
		return byDefault
	}
	return *value
}
