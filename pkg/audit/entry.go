// Package audit records changes, sign-ins and uses of keys: the actor, the resource, the
// address and the outcome.
//
// The database keeps the log append-only: it gives each entry its time, refuses changes,
// and deletes only old entries.
package audit

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Outcome is the result of an action.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Denied  Outcome = "denied"  // refused because of the actor
	Failure Outcome = "failure" // refused because of the request, or failed
)

// IsOutcome says whether a text names an outcome.
func IsOutcome(text string) bool {
	return text == string(Success) || text == string(Denied) || text == string(Failure)
}

// Actor is the user, key or part of Wrenn that acted.
type Actor struct {
	// Kind is an auth.Kind, or "unknown" where the credential was wrong.
	Kind string
	// ID is the user, API key or access token.
	ID string
	// Name is an e-mail address or another name for people.
	Name string
}

// ActorOf is a principal as an actor.
func ActorOf(principal auth.Principal) Actor {
	actor := Actor{Kind: string(principal.Kind), Name: principal.Email}
	switch {
	case principal.Kind == "":
		actor.Kind = "unknown"
	case principal.Kind == auth.ByKey:
		actor.ID = principal.KeyID.String()
	case principal.UserID != uuid.Nil:
		actor.ID = principal.UserID.String()
	}
	return actor
}

// Resource is the object of an action.
type Resource struct {
	// Kind is the part of the action before the dot, such as "sandbox".
	Kind string
	ID   string
}

// Entry is an entry of the audit log.
type Entry struct {
	// ID and At are set by the log.
	ID int64
	At time.Time
	// TeamID is zero where the action belongs to no team.
	TeamID uuid.UUID
	Actor  Actor
	// Action is a kind of resource, a dot and a verb, such as "sandbox.kill".
	Action   string
	Resource Resource
	Outcome  Outcome
	// Status is the HTTP status, 0 where there was no request.
	Status    int
	Address   string
	UserAgent string
	RequestID string
	// Details is a JSON object. It must hold no secret.
	Details json.RawMessage
}
