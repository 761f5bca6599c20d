package api

import (
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
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

func (s *Server) updateNetwork(w http.ResponseWriter, r *http.Request) error {
	var body networkUpdate
	if err := decode(r, &body); err != nil {
		return err
	}
	if err := mayUseSecrets(r, body.Rules); err != nil {
		return err
	}
	return noContent(w, s.Sandboxes.UpdateNetwork(r.Context(), teamOf(r), sandboxOf(r), sandboxes.NetworkUpdate{
		AllowInternetAccess: body.AllowInternetAccess, AllowOut: body.AllowOut, DenyOut: body.DenyOut, Rules: body.Rules,
		EgressProxy: body.EgressProxy,
	}))
}
