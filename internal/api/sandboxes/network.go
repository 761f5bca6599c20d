package sandboxes

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/api/request"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/service/sandboxes"
)

// networkUpdate is the body of a change to a running sandbox's network.
type networkUpdate struct {
	AllowInternetAccess *bool                         `json:"allow_internet_access"`
	AllowOut            []string                      `json:"allowOut"`
	DenyOut             []string                      `json:"denyOut"`
	Rules               map[string][]rows.NetworkRule `json:"rules"`
	EgressProxy         *rows.EgressProxy             `json:"egressProxy"`
}

func (h *Handlers) updateNetwork(w http.ResponseWriter, r *http.Request) error {
	var body networkUpdate
	if err := request.Decode(r, &body); err != nil {
		return err
	}
	if err := mayUseSecrets(r, body.Rules); err != nil {
		return err
	}
	return respond.NoContent(w, h.Sandboxes.UpdateNetwork(r.Context(), request.Team(r), sandboxOf(r), sandboxes.NetworkUpdate{
		AllowInternetAccess: body.AllowInternetAccess, AllowOut: body.AllowOut, DenyOut: body.DenyOut, Rules: body.Rules,
		EgressProxy: body.EgressProxy,
	}))
}

// mayUseSecrets refuses secrets to those who may not even see that they exist: to
// choose where a secret is sent is to learn it.
func mayUseSecrets(r *http.Request, rules map[string][]rows.NetworkRule) error {
	names, err := rows.Network{Rules: rules}.References()
	if err == nil && len(names.Secrets) > 0 && !auth.PrincipalOf(r.Context()).May(auth.SecretRead) {
		return fault.New(fault.Forbidden, "network.rules refer to secrets, which takes %s", auth.SecretRead)
	}
	return nil // what is malformed is the service's to refuse
}
