package sandboxes

import (
	"context"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// sandboxAnswer is the answer to a create, resume or connect.
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

func (h *Handlers) answerOf(ctx context.Context, of sandbox.Sandbox) (sandboxAnswer, error) {
	credentials, err := h.Sandboxes.Credentials(ctx, of)
	if err != nil {
		return sandboxAnswer{}, err
	}
	answer := sandboxAnswer{
		TemplateID: of.TemplateID, SandboxID: of.ID, Alias: of.Alias, ClientID: clientID,
		EnvdVersion: of.EnvdVersion, EnvdAccessToken: credentials.EnvdAccess, Domain: h.Domain,
	}
	if credentials.TrafficAccess != "" {
		answer.TrafficAccessToken = &credentials.TrafficAccess
	}
	return answer, nil
}

func (h *Handlers) answerSandbox(w http.ResponseWriter, r *http.Request, status int, of sandbox.Sandbox) error {
	answer, err := h.answerOf(r.Context(), of)
	if err != nil {
		return err
	}
	respond.JSON(w, status, answer)
	return nil
}

func (h *Handlers) getSandbox(w http.ResponseWriter, r *http.Request) error {
	found, err := h.Sandboxes.Get(r.Context(), request.Team(r), sandboxOf(r))
	if err != nil {
		return err
	}
	detail := detailedSandbox{
		listedSandbox:       fromSandbox(found),
		AllowInternetAccess: found.Network.AllowInternetAccess, Domain: h.Domain, Network: fromNetwork(found.Network),
		Lifecycle: lifecycleSetting{AutoResume: found.Lifecycle.AutoResume, OnTimeout: "kill"},
	}
	if found.Lifecycle.AutoPause {
		detail.Lifecycle.OnTimeout = "pause"
	}
	// A principal that may only read gets neither the sandbox's token nor the rules,
	// which can have credentials for other services.
	if auth.PrincipalOf(r.Context()).May(auth.SandboxWrite) {
		credentials, err := h.Sandboxes.Credentials(r.Context(), found)
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
