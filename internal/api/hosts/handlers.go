// Package hosts has the handlers of an installation's hosts, which E2B calls nodes, and
// of its secret keys.
package hosts

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/service/fleet"
	"git.omukk.dev/wrenn/sandbox/pkg/service/secrets"
)

// Service is the service of hosts.
type Service interface {
	CreateToken(ctx context.Context, tags []string, lifetime time.Duration) (string, fleet.Token, error)
	Join(ctx context.Context, joining fleet.Joining) (fleet.Membership, error)
	Renew(ctx context.Context, certificate, request, signature []byte) (fleet.Membership, error)
	List(ctx context.Context) ([]fleet.LoadedHost, error)
	Get(ctx context.Context, hostID uuid.UUID) (fleet.LoadedHost, error)
	Drain(ctx context.Context, hostID uuid.UUID) error
	Undrain(ctx context.Context, hostID uuid.UUID) error
	Retire(ctx context.Context, hostID uuid.UUID, force bool) error
	Revoke(ctx context.Context, hostID uuid.UUID) error
}

// SecretKeys lists the installation's secret keys.
type SecretKeys interface {
	List(ctx context.Context) ([]secrets.Key, error)
}

// Handlers has what the handlers use.
type Handlers struct {
	Hosts Service
	Keys  SecretKeys
}

// Route registers the routes.
func (h *Handlers) Route(router respond.Router) {
	router.Post("/hosts/tokens", h.createHostToken)
	router.Post("/hosts/join", h.joinHost)
	router.Post("/hosts/renew", h.renewHost)
	router.Get("/hosts", h.listHosts)
	router.Get("/hosts/{hostID}", h.getHost)
	router.Delete("/hosts/{hostID}", h.retireHost)
	router.Post("/hosts/{hostID}/drain", h.drainHost)
	router.Post("/hosts/{hostID}/undrain", h.undrainHost)
	router.Post("/hosts/{hostID}/revoke", h.revokeHost)
	router.Get("/nodes", h.listNodes)
	router.Get("/nodes/{nodeID}", h.getNode)
	router.Post("/nodes/{nodeID}", h.changeNode)
	router.Get("/admin/keys", h.listSecretKeys)
}
