// Package resources answers the routes of what teams own beside sandboxes: secrets and
// volumes, and of what teams use and may use.
package resources

import "git.omukk.dev/wrenn/sandbox/internal/api/respond"

// Handlers answers the routes.
type Handlers struct {
	Secrets Secrets
	Volumes Volumes
	Usage   Usage
	// Domain is where the content of volumes is reached.
	Domain string
}

// Route registers the routes.
func (h *Handlers) Route(router respond.Router) {
	h.routeUsage(router)
	h.routeSecrets(router)
	h.routeVolumes(router)
}
