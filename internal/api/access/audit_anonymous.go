package access

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/ratelimit"
)

const (
	// The limits of audit entries of anonymous calls, from one network and from all.
	anonymousBurst       = 20
	anonymousInterval    = time.Minute
	allAnonymousBurst    = 500
	allAnonymousInterval = 10 * time.Second
)

// anonymousCalls limits the audit entries of calls without valid credentials. The next
// entry has the number of those that were skipped.
type anonymousCalls struct {
	once      sync.Once
	near, all *ratelimit.Limiter

	mutex   sync.Mutex
	skipped int
}

// admit reports whether an entry is to be written, and adds to it the number of those
// that were skipped.
func (c *anonymousCalls) admit(entry *audit.Entry) bool {
	c.once.Do(func() {
		c.near = ratelimit.NewLimiter(anonymousBurst, anonymousInterval)
		c.all = ratelimit.NewLimiter(allAnonymousBurst, allAnonymousInterval)
	})
	admitted := c.near.Take(ratelimit.Neighbourhood(entry.Address)) == nil && c.all.Take("") == nil
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if !admitted {
		c.skipped++
		return false
	}
	if c.skipped > 0 && entry.Details == nil {
		entry.Details, _ = json.Marshal(map[string]int{"similarNotWritten": c.skipped}) // never fails
		c.skipped = 0
	}
	return true
}

// isAnonymous reports whether an entry is of a call without valid credentials that
// anyone can repeat: a call that failed, or one of a route that succeeds for everyone.
func isAnonymous(entry audit.Entry, pattern string) bool {
	if entry.Actor.ID != "" || entry.Actor.Kind == string(auth.ByAdminToken) {
		return false
	}
	return entry.Status >= http.StatusBadRequest || pattern == "/auth/password/reset-request" || pattern == "/auth/invitations/show"
}
