// Package audit remembers who did what, on what, from where, and how it ended:
// every change, sign-in and use of a key.
//
// The log is append-only, which the database itself enforces: an entry is never
// changed, gets its time from the database, and goes only when it is old.
package audit

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
)

// Outcome is how an action ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Denied  Outcome = "denied"  // refused for who asked
	Failure Outcome = "failure" // refused for what was asked, or failed
)

// IsOutcome says whether a text names an outcome.
func IsOutcome(text string) bool {
	return text == string(Success) || text == string(Denied) || text == string(Failure)
}

// SystemKind is the kind of actor that Wrenn itself is.
const SystemKind = "system"

// Actor is who did something.
type Actor struct {
	// Kind is an auth.Kind, SystemKind, or "unknown" where a credential was wrong.
	Kind string `json:"kind"`
	// ID is the user, API key or access token.
	ID string `json:"id"`
	// Name is an e-mail address or whatever else a person knows the actor by.
	Name string `json:"name"`
}

// System is Wrenn itself, in one of its parts.
func System(part string) Actor { return Actor{Kind: SystemKind, Name: part} }

// ActorOf is the actor behind a request's principal.
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

// Resource is what was acted on.
type Resource struct {
	// Kind is the word before the dot of actions, such as "sandbox".
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Entry is one line of the audit log.
type Entry struct {
	// ID and At are given by the log.
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	// TeamID is zero for what belongs to no team.
	TeamID uuid.UUID `json:"teamID"`
	Actor  Actor     `json:"actor"`
	// Action is a kind of thing, a dot and a verb, such as "sandbox.kill".
	Action   string   `json:"action"`
	Resource Resource `json:"resource"`
	Outcome  Outcome  `json:"outcome"`
	// Status is the HTTP status, 0 where there was no request.
	Status    int    `json:"status"`
	Address   string `json:"address"`
	UserAgent string `json:"userAgent"`
	RequestID string `json:"requestID"`
	// Details is a JSON object. It must hold no secret.
	Details json.RawMessage `json:"details"`
}
