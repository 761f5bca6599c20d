// Package access decides who may call which route. It has the rules of the routes, reads
// the credentials, addresses and cookies of requests, handles requests of pages of other
// origins, limits public routes, and writes the audit log.
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

// Authenticator finds the principal of a credential, and returns an error if the rule
// does not accept it.
type Authenticator interface {
	Authorize(ctx context.Context, rule auth.Rule, given auth.Credentials) (auth.Principal, error)
}

// AuditLog stores audit entries.
type AuditLog interface {
	Append(ctx context.Context, entry audit.Entry) error
}

// Control authorizes requests by the rules of their routes and audits them.
type Control struct {
	Authenticator Authenticator
	Clients       Clients
	// PublicURL is the URL under which browsers reach this server.
	PublicURL string
	// Audit is nil for a server without an audit log.
	Audit  AuditLog
	Log    *slog.Logger
	Limits Limits

	keyUses        uses
	anonymousCalls anonymousCalls
}

func (c *Control) fail(w http.ResponseWriter, r *http.Request, err error) {
	respond.Failures{Log: c.Log}.Answer(w, r, err)
}

// Principal authorizes a request by the rule of its route, and returns its principal.
func (c *Control) Principal(r *http.Request) (auth.Principal, error) {
	rule := Rules[r.Method+" "+chi.RouteContext(r.Context()).RoutePattern()]
	return c.Authenticator.Authorize(r.Context(), rule, c.Credentials(r))
}
