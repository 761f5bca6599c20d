package sandboxes

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

// networkUpdate is the body of an update of a running sandbox's network.
type networkUpdate struct {
	AllowInternetAccess *bool                    `json:"allow_internet_access"`
	AllowOut            []string                 `json:"allowOut"`
	DenyOut             []string                 `json:"denyOut"`
	Rules               map[string][]networkRule `json:"rules"`
	EgressProxy         *egressProxy             `json:"egressProxy"`
}

func (h *Handlers) updateNetwork(w http.ResponseWriter, r *http.Request) error {
	var body networkUpdate
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	update := toNetwork(network{AllowOut: body.AllowOut, DenyOut: body.DenyOut, Rules: body.Rules, EgressProxy: body.EgressProxy}, body.AllowInternetAccess)
	if err := mayUseSecrets(r, update); err != nil {
		return err
	}
	return respond.NoContent(w, h.Sandboxes.UpdateNetwork(r.Context(), request.Team(r), sandboxOf(r), update))
}

// mayUseSecrets refuses rules with secrets if the principal may not read secrets: a
// principal that chooses where a secret is sent can read it there.
func mayUseSecrets(r *http.Request, network sandbox.Network) error {
	names, err := network.References()
	if err == nil && len(names.Secrets) > 0 && !auth.PrincipalOf(r.Context()).May(auth.SecretRead) {
		return fault.New(fault.Forbidden, "network.rules refer to secrets, which takes %s", auth.SecretRead)
	}
	return nil // the service refuses what is malformed
}
