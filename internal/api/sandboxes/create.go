package sandboxes

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/service/idempotency"
	"git.omukk.dev/wrenn/sandbox/pkg/service/placement"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// The default times to live in seconds, of the two versions of the API.
const (
	defaultTimeoutV1 = 15
	defaultTimeoutV2 = 300
)

// newSandbox is the body of a create.
type newSandbox struct {
	TemplateID string `json:"templateID"`
	// CPUCount, MemoryMB and DiskSizeMB are another size than the template's. E2B has no
	// such fields in this request.
	CPUCount            *int32            `json:"cpuCount,omitempty"`
	MemoryMB            *int32            `json:"memoryMB,omitempty"`
	DiskSizeMB          *int32            `json:"diskSizeMB,omitempty"`
	Timeout             *int32            `json:"timeout"`
	AutoPause           bool              `json:"autoPause"`
	AutoPauseMemory     *bool             `json:"autoPauseMemory"`
	AutoResume          *enabled          `json:"autoResume"`
	Secure              *bool             `json:"secure"`
	AllowInternetAccess *bool             `json:"allow_internet_access"`
	Network             network           `json:"network"`
	Metadata            map[string]string `json:"metadata"`
	EnvVars             map[string]string `json:"envVars"`
	// MCP is accepted and not used: the SDK starts the MCP servers itself, in a sandbox of
	// a template with the gateway.
	MCP map[string]json.RawMessage `json:"mcp"`
	// IAM is the identity tokens that the sandbox may have.
	IAM struct {
		Tokens map[string]identityToken `json:"tokens"`
	} `json:"iam"`

	VolumeMounts []volumeMount `json:"volumeMounts"`
	// Placement constrains the host. E2B has no such field.
	Placement struct {
		HostTags []string `json:"hostTags"`
		Group    string   `json:"group"`
		Spread   string   `json:"spread"`
	} `json:"placement"`
	// Isolation is demanded of the host. E2B has no such field.
	Isolation sandbox.Isolation `json:"isolation,omitempty"`
}

// isolationHeader demands an isolation in the place of the field, for E2B's SDKs: they can
// send headers and no other fields.
const isolationHeader = "Wrenn-Isolation"

// readIsolation reads the header into the body.
func (n *newSandbox) readIsolation(r *http.Request) error {
	given := r.Header.Values(isolationHeader)
	for _, value := range given {
		wanted := sandbox.Isolation(value)
		if n.Isolation != "" && n.Isolation != wanted || value == "" {
			return fault.New(fault.Invalid, "the header %s must be vm or gvisor, and the same as the field isolation if both are given", isolationHeader)
		}
		n.Isolation = wanted
	}
	return nil
}

type enabled struct {
	Enabled bool `json:"enabled"`
}

func (h *Handlers) createSandboxV1(w http.ResponseWriter, r *http.Request) error {
	return h.createSandbox(w, r, defaultTimeoutV1)
}

func (h *Handlers) createSandboxV2(w http.ResponseWriter, r *http.Request) error {
	return h.createSandbox(w, r, defaultTimeoutV2)
}

func (h *Handlers) createSandbox(w http.ResponseWriter, r *http.Request, defaultTimeout int32) error {
	var body newSandbox
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if err := body.readIsolation(r); err != nil {
		return err
	}
	wanted := toNetwork(body.Network, body.AllowInternetAccess)
	if err := mayUseSecrets(r, wanted); err != nil {
		return err
	}
	key, err := idempotencyOf(r, body)
	if err != nil {
		return err
	}
	created, err := h.Sandboxes.Create(r.Context(), request.Team(r), sandboxes.NewSandbox{
		Template: body.TemplateID, TimeoutSeconds: request.OrDefault(body.Timeout, defaultTimeout),
		Size: sandboxes.WantedSize{VCPUCount: body.CPUCount, MemoryMiB: body.MemoryMB, DiskMiB: body.DiskSizeMB},
		Lifecycle: sandbox.Lifecycle{
			AutoPause: body.AutoPause, AutoPauseWithoutMemory: !request.OrDefault(body.AutoPauseMemory, true),
			AutoResume: request.OrDefault(body.AutoResume, enabled{}).Enabled,
		},
		Insecure: !request.OrDefault(body.Secure, true), Network: wanted, IdentityTokens: toTokens(body.IAM.Tokens),
		Metadata: body.Metadata, EnvVars: body.EnvVars, Affinity: placement.Affinity(body.Placement), Isolation: body.Isolation,
		VolumeMounts: toMounts(body.VolumeMounts), Idempotency: key,
	})
	if err != nil {
		return err
	}
	audit.SetResource(r.Context(), created.ID)
	return h.answerSandbox(w, r, http.StatusCreated, created)
}

// idempotencyOf reads the Idempotency-Key of a create. The hash is of the decoded body, so
// that spaces and the order of fields do not matter.
func idempotencyOf(r *http.Request, body any) (idempotency.Request, error) {
	given, isGiven := r.Header["Idempotency-Key"]
	if !isGiven {
		return idempotency.Request{}, nil
	}
	if len(given) != 1 {
		return idempotency.Request{}, fault.New(fault.Invalid, "there is more than one Idempotency-Key")
	}
	understood, err := json.Marshal(body)
	if err != nil {
		return idempotency.Request{}, fmt.Errorf("encode a request to compare it: %w", err)
	}
	return idempotency.Request{Key: given[0], Hash: sha256.Sum256(append([]byte(r.URL.Path+"\n"), understood...))}, nil
}
