// Package requestlog gives the log lines of a request its ID, team and sandbox.
//
// Begin puts a request into a context, and the request's ID into it. SetTeam and
// SetSandbox complete it as they become known, also for lines that are written with
// the contexts above. NewHandler adds all three to each record that is logged with
// such a context:
//
//	log := slog.New(requestlog.NewHandler(slog.NewJSONHandler(os.Stderr, nil)))
//	ctx := requestlog.Begin(ctx, requestlog.NewID())
//	log.InfoContext(ctx, "sandbox paused")
//
// NewInterceptor carries them from the control plane to the host agents.
package requestlog

import (
	"context"
	"regexp"
	"sync"

	"github.com/google/uuid"
)

// Header carries a request's ID, from clients and to host agents, and in each answer.
const Header = "X-Request-Id"

// teamHeader carries a request's team to host agents.
const teamHeader = "Wrenn-Team"

// idPattern is what an ID that a client gives must match to be kept.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9._:-]{8,64}$`)

// IsID reports whether a text may be a request's ID.
func IsID(text string) bool { return idPattern.MatchString(text) }

// NewID makes an ID.
func NewID() string { return uuid.NewString() }

type contextKey struct{}

// request is shared by all contexts of one request.
type request struct {
	id string

	mutex         sync.Mutex
	team, sandbox string
}

// Begin returns a context of a new request.
func Begin(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, &request{id: id})
}

func of(ctx context.Context) *request {
	found, _ := ctx.Value(contextKey{}).(*request)
	return found
}

// ID is the ID of the request that a context is of, or "".
func ID(ctx context.Context) string {
	if r := of(ctx); r != nil {
		return r.id
	}
	return ""
}

// SetTeam sets the team of the request that a context is of. It does nothing with a
// context of no request.
func SetTeam(ctx context.Context, teamID string) {
	if r := of(ctx); r != nil {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.team = teamID
	}
}

// SetSandbox sets the sandbox of the request that a context is of. It does nothing
// with a context of no request.
func SetSandbox(ctx context.Context, sandboxID string) {
	if r := of(ctx); r != nil {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.sandbox = sandboxID
	}
}

func (r *request) fields() (team, sandbox string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.team, r.sandbox
}
