// Package access says who may call what: the rules of the routes, the credentials,
// addresses and cookies of requests, what pages of other origins may do, limits of
// what needs no credential, and the audit log of all that.
package access

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"

	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Authenticator finds the principal behind a credential, and refuses one that a
// route's rule does not let in.
type Authenticator interface {
	Authorize(ctx context.Context, rule auth.Rule, given auth.Credentials) (auth.Principal, error)
}

// AuditLog is where requests are written down.
type AuditLog interface {
	Append(ctx context.Context, entry audit.Entry) error
}

// Control lets requests in by the rules of their routes and writes them down.
type Control struct {
	Authenticator Authenticator
	// Clients knows where requests come from.
	Clients Clients
	// PublicURL is where browsers reach this server.
	PublicURL string
	// Audit is where requests are written down; nil for a server that does not.
	Audit AuditLog
	Log   *slog.Logger
	// Limits bounds what asks for no credential.
	Limits Limits

	keyUses        uses
	anonymousCalls anonymousCalls
}

func (c *Control) fail(w http.ResponseWriter, r *http.Request, err error) {
	respond.Failures{Log: c.Log}.Answer(w, r, err)
}

// Principal finds who makes a request, by its route's rule.
func (c *Control) Principal(r *http.Request) (auth.Principal, error) {
	rule := Rules[r.Method+" "+chi.RouteContext(r.Context()).RoutePattern()]
	return c.Authenticator.Authorize(r.Context(), rule, c.Credentials(r))
}
