package api

import (
	"encoding/json"
	"net/http"

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
	AllowInternetAccess *bool             `json:"allow_internet_access"`
	Network             newNetwork        `json:"network"`
	Metadata            map[string]string `json:"metadata"`
	EnvVars             map[string]string `json:"envVars"`
	MCP                 json.RawMessage   `json:"mcp"`
	IAM                 json.RawMessage   `json:"iam"`
	VolumeMounts        json.RawMessage   `json:"volumeMounts"`
}

type enabled struct {
	Enabled bool `json:"enabled"`
}

type newNetwork struct {
	AllowPublicTraffic *bool           `json:"allowPublicTraffic"`
	AllowOut           []string        `json:"allowOut"`
	DenyOut            []string        `json:"denyOut"`
	EgressProxy        json.RawMessage `json:"egressProxy"`
	MaskRequestHost    *string         `json:"maskRequestHost"`
	Rules              json.RawMessage `json:"rules"`
	HTTPSPorts         json.RawMessage `json:"httpsPorts"`
}

// unsupported names the first feature that is asked for and not there.
func (n newSandbox) unsupported() error {
	for _, feature := range []struct {
		name  string
		asked bool
	}{
		{"mcp", isSet(n.MCP)},
		{"iam", isSet(n.IAM)},
		{"volumeMounts", isSet(n.VolumeMounts)},
		{"autoPauseMemory: false", n.AutoPauseMemory != nil && !*n.AutoPauseMemory},
		{"autoResume", n.AutoResume != nil && n.AutoResume.Enabled},
		{"network.egressProxy", isSet(n.Network.EgressProxy)},
		{"network.maskRequestHost", n.Network.MaskRequestHost != nil && *n.Network.MaskRequestHost != ""},
		{"network.rules", isSet(n.Network.Rules)},
		{"network.httpsPorts", isSet(n.Network.HTTPSPorts)},
	} {
		if feature.asked {
			return fault.New(fault.Invalid, "%s is not supported yet", feature.name)
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
	sandbox, err := s.Sandboxes.Create(r.Context(), teamOf(r), service.NewSandbox{
		Template: body.TemplateID, TimeoutSeconds: orDefault(body.Timeout, defaultTimeout), AutoPause: body.AutoPause,
		AllowInternetAccess: body.AllowInternetAccess,
		Network: db.Network{
			AllowPublicTraffic: body.Network.AllowPublicTraffic,
			AllowOut:           body.Network.AllowOut, DenyOut: body.Network.DenyOut,
		},
		Metadata: body.Metadata, EnvVars: body.EnvVars,
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, s.answerOf(sandbox))
	return nil
}

func orDefault[T any](value *T, byDefault T) T {
	if value == nil {
		return byDefault
	}
	return *value
}
