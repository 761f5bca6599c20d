package access

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/requestlog"
)

const (
	auditTimeout = 5 * time.Second
	// keyUseEvery is the least time between two entries that a key was used to read
	// from one address.
	keyUseEvery = time.Hour
	// maxKeyUses bounds the keys and addresses that are remembered for that.
	maxKeyUses = 10_000
)

// signInPattern is the only sign-in by GET: an identity provider redirects there.
const signInPattern = "/auth/oidc/{provider}/callback"

// AuditRequests writes an audit entry for each change, sign-in, refusal and, at times,
// use of a key. Like Authorize it must be a middleware of the routes themselves.
func (c *Control) AuditRequests(next http.Handler) http.Handler {
	if c.Audit == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, draft := audit.WithDraft(r.Context())
		wrapped := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		status := http.StatusInternalServerError // if the handler panics
		defer func() { c.writeAudit(r, draft, status) }()
		next.ServeHTTP(wrapped, r.WithContext(ctx))
		if status = wrapped.Status(); status == 0 {
			status = http.StatusOK
		}
	})
}

// writeAudit writes the entry of a request. It runs before net/http sends a short
// answer, so that a client that has the answer finds the entry.
func (c *Control) writeAudit(r *http.Request, draft *audit.Draft, status int) {
	entry, principal := draft.Entry()
	pattern := chi.RouteContext(r.Context()).RoutePattern()
	address := c.Clients.Address(r)
	action, resource := actionOf(r.Method, pattern, func(name string) string { return chi.URLParam(r, name) })
	switch {
	case c.worthAuditing(r, pattern, status):
	case principal.Kind == auth.ByKey && c.keyUses.first(principal.KeyID.String()+" "+address, time.Now()):
		action, resource = "key.use", audit.Resource{Kind: "key", ID: principal.KeyID.String()}
	default:
		return
	}
	entry.Action, entry.Resource.Kind = action, resource.Kind
	if entry.Resource.ID == "" {
		entry.Resource.ID = resource.ID
	}
	entry.Status, entry.Outcome = status, outcomeOf(status)
	entry.Address, entry.UserAgent, entry.RequestID = address, r.UserAgent(), requestlog.ID(r.Context())
	if isAnonymous(entry, pattern) && !c.anonymousCalls.admit(&entry) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), auditTimeout)
	defer cancel()
	if err := c.Audit.Append(ctx, entry); err != nil {
		c.Log.ErrorContext(ctx, "audit entry was not written", "error", err, "action", entry.Action, "resource", entry.Resource.ID,
			"actor", entry.Actor.ID, "outcome", entry.Outcome)
	}
}

// worthAuditing reports whether a request changes something, signs a user in, or was
// refused with a credential. Requests over a rate limit, and those without the
// credential that they need, are left out: they could fill the log.
func (c *Control) worthAuditing(r *http.Request, pattern string, status int) bool {
	if status == http.StatusTooManyRequests {
		return false
	}
	rule := Rules[r.Method+" "+pattern]
	if outcomeOf(status) == audit.Denied && !rule.IsPublic() {
		given := c.Credentials(r)
		return given.APIKey != "" || given.Bearer != "" || given.AdminToken != "" || given.Session != ""
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead || pattern == signInPattern
}

func outcomeOf(status int) audit.Outcome {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return audit.Denied
	case status >= http.StatusBadRequest:
		return audit.Failure
	default:
		return audit.Success
	}
}

// uses remembers when the last entry of a key's use was written.
type uses struct {
	mutex sync.Mutex
	last  map[string]time.Time
}

// first reports whether a use needs an entry, and remembers it.
func (u *uses) first(name string, now time.Time) bool {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if now.Sub(u.last[name]) < keyUseEvery {
		return false
	}
	if u.last == nil || len(u.last) >= maxKeyUses {
		u.last = make(map[string]time.Time) // some uses get a second entry
	}
	u.last[name] = now
	return true
}
