package sandboxes

import (
	"context"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/lifecycle"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// clientID is a field that clients still expect and nothing reads any more.
const clientID = "wrenn"

// sandboxAnswer is what a client needs to use a sandbox.
type sandboxAnswer struct {
	TemplateID         string  `json:"templateID"`
	SandboxID          string  `json:"sandboxID"`
	Alias              string  `json:"alias,omitempty"`
	ClientID           string  `json:"clientID"`
	EnvdVersion        string  `json:"envdVersion"`
	EnvdAccessToken    string  `json:"envdAccessToken,omitempty"`
	TrafficAccessToken *string `json:"trafficAccessToken"`
	Domain             string  `json:"domain"`
}

// listedSandbox is a sandbox in a list.
type listedSandbox struct {
	TemplateID  string            `json:"templateID"`
	Alias       string            `json:"alias,omitempty"`
	SandboxID   string            `json:"sandboxID"`
	ClientID    string            `json:"clientID"`
	StartedAt   time.Time         `json:"startedAt"`
	EndAt       time.Time         `json:"endAt"`
	CPUCount    int32             `json:"cpuCount"`
	MemoryMB    int32             `json:"memoryMB"`
	DiskSizeMB  int32             `json:"diskSizeMB"`
	Metadata    map[string]string `json:"metadata"`
	State       lifecycle.State   `json:"state"`
	EnvdVersion string            `json:"envdVersion"`
	// EnvdUnresponsiveAtPause and PauseMode are of a paused sandbox: whether it can only
	// be resumed without memory, and what its pause kept.
	EnvdUnresponsiveAtPause bool   `json:"envdUnresponsiveAtPause,omitempty"`
	PauseMode               string `json:"pauseMode,omitempty"`
	// Failure is why the sandbox cannot be used.
	Failure string `json:"failure,omitempty"`

	VolumeMounts []sandboxes.VolumeMount `json:"volumeMounts,omitempty"`
}

// detailedSandbox is all that may be known of a sandbox.
type detailedSandbox struct {
	listedSandbox
	EnvdAccessToken     string           `json:"envdAccessToken,omitempty"`
	AllowInternetAccess *bool            `json:"allowInternetAccess"`
	Domain              string           `json:"domain"`
	Network             rows.Network     `json:"network"`
	Lifecycle           lifecycleSetting `json:"lifecycle"`
}

type lifecycleSetting struct {
	AutoResume bool   `json:"autoResume"`
	OnTimeout  string `json:"onTimeout"`
}

func (h *Handlers) answerOf(ctx context.Context, sandbox rows.Sandbox) (sandboxAnswer, error) {
	credentials, err := h.Sandboxes.Credentials(ctx, sandbox)
	if err != nil {
		return sandboxAnswer{}, err
	}
	answer := sandboxAnswer{
		TemplateID: sandbox.TemplateID, SandboxID: sandbox.ID, Alias: sandbox.Alias, ClientID: clientID,
		EnvdVersion: sandbox.EnvdVersion, EnvdAccessToken: credentials.EnvdAccess, Domain: h.Domain,
	}
	if credentials.TrafficAccess != "" {
		answer.TrafficAccessToken = &credentials.TrafficAccess
	}
	return answer, nil
}

func (h *Handlers) answerSandbox(w http.ResponseWriter, r *http.Request, status int, sandbox rows.Sandbox) error {
	answer, err := h.answerOf(r.Context(), sandbox)
	if err != nil {
		return err
	}
	respond.JSON(w, status, answer)
	return nil
}

func listed(sandbox rows.Sandbox) listedSandbox {
	answer := listedSandbox{
		TemplateID: sandbox.TemplateID, Alias: sandbox.Alias, SandboxID: sandbox.ID, ClientID: clientID,
		StartedAt: sandbox.StartedAt.UTC(), EndAt: sandbox.EndAt.UTC(),
		CPUCount: sandbox.VCPUCount, MemoryMB: sandbox.MemoryMiB, DiskSizeMB: sandbox.DiskMiB,
		Metadata: sandbox.Metadata, State: shownState(sandbox.State), EnvdVersion: sandbox.EnvdVersion,
		VolumeMounts: mountsOf(sandbox),
	}
	switch sandbox.State {
	case lifecycle.Broken:
		answer.Failure = sandbox.Reason
	case lifecycle.Paused:
		answer.EnvdUnresponsiveAtPause, answer.PauseMode = sandbox.GuestUnresponsive, "full"
		if sandbox.WithoutMemory {
			answer.PauseMode = "filesystem"
		}
	default:
	}
	return answer
}

func mountsOf(sandbox rows.Sandbox) []sandboxes.VolumeMount {
	var mounts []sandboxes.VolumeMount
	for _, mount := range sandbox.VolumeMounts {
		mounts = append(mounts, sandboxes.VolumeMount{Name: mount.Name, Path: mount.Path})
	}
	return mounts
}

// shownState is what clients see, who know of two states only: an operation that is
// not over has not happened, and what is broken does not run.
func shownState(state lifecycle.State) lifecycle.State {
	switch state {
	case lifecycle.Pausing:
		return lifecycle.Running
	case lifecycle.Resuming, lifecycle.Broken:
		return lifecycle.Paused
	default:
		return state
	}
}

func (h *Handlers) getSandbox(w http.ResponseWriter, r *http.Request) error {
	sandbox, err := h.Sandboxes.Get(r.Context(), request.Team(r), sandboxOf(r))
	if err != nil {
		return err
	}
	detail := detailedSandbox{
		listedSandbox:       listed(sandbox),
		AllowInternetAccess: sandbox.AllowInternetAccess, Domain: h.Domain, Network: sandbox.Network,
		Lifecycle: lifecycleSetting{AutoResume: sandbox.AutoResume, OnTimeout: "kill"},
	}
	if sandbox.AutoPause {
		detail.Lifecycle.OnTimeout = "pause"
	}
	// Who may only read must not learn what opens the sandbox, or what it sends
	// along to others.
	if auth.PrincipalOf(r.Context()).May(auth.SandboxWrite) {
		credentials, err := h.Sandboxes.Credentials(r.Context(), sandbox)
		if err != nil {
			return err
		}
		detail.EnvdAccessToken = credentials.EnvdAccess
	} else {
		detail.Network.Rules = nil
	}
	respond.JSON(w, http.StatusOK, detail)
	return nil
}
