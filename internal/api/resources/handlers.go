// Package resources has the handlers of secrets, volumes, and the usage and limits of
// teams.
package resources

import "git.omukk.dev/wrenn/sandbox/internal/api/respond"

// Handlers has what the handlers use.
type Handlers struct {
	Secrets Secrets
	Volumes Volumes
	Usage   Usage
	// Domain is the host name under which clients reach the content of volumes.
	Domain string
}

// Route registers the routes.
func (h *Handlers) Route(router respond.Router) {
	h.routeUsage(router)
	h.routeSecrets(router)
	h.routeVolumes(router)
}
